import type { Payload, PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;
export type History = proto.temporal.api.history.v1.IHistory;

/**
 * A history with every encrypted payload decoded, as it would be without the codec: for recording one that replays
 * without a key, and for knowing what is hidden. What Temporal notes for itself is plain already.
 * @throws PayloadUnreadable when a payload is not this workflow's
 */
export async function plainHistory(history: History, codec: PayloadCodec, workflowId: string): Promise<History> {
  const plain = History.decode(History.encode(history).finish());
  const context = { type: 'workflow', namespace: '', workflowId } as const;
  for (const { payload } of payloadsIn(plain)) {
    if (encodingOf(payload) !== 'binary/encrypted') continue;
    const [decoded] = await codec.decode([payload], context);
    Object.assign(payload, decoded);
  }
  return plain;
}

/** Every payload with the path to it, wherever it is: a kind of event that comes later must not be forgotten. */
export function payloadsIn(message: unknown, path = ''): { path: string; payload: Payload }[] {
  if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return [];
  if (encodingOf(message) !== undefined) return [{ path, payload: message }];
  return Object.entries(message).flatMap(([name, part]) => payloadsIn(part, `${path}.${name}`));
}

export function encodingOf({ metadata }: Payload): string | undefined {
  const encoding = metadata?.['encoding'];
  return encoding instanceof Uint8Array ? Buffer.from(encoding).toString() : undefined;
}
