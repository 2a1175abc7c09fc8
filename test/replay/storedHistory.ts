import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { z } from 'zod';

/**
 * Histories as files: plain JSON that needs no key and tells of no machine. Protobuf's own conversion, not the SDK's
 * `historyToJSON`: that one fails ("type must be a Type") wherever two copies of protobufjs are installed.
 */

const { History: HistoryMessage } = proto.temporal.api.history.v1;
export type History = proto.temporal.api.history.v1.IHistory;
type Json = null | boolean | number | string | Json[] | { [member: string]: Json };

const directory = fileURLToPath(new URL('histories/', import.meta.url));

export function storedHistories(): readonly string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

export function storedHistoryText(story: string): string {
  return readFileSync(`${directory}${story}.json`, 'utf8');
}

/** What `Worker.runReplayHistory` takes. */
export function historyOf(text: string): History {
  return HistoryMessage.fromObject(JSON.parse(text));
}

const Answer = z.object({ plan: z.object({ state: z.string(), done: z.boolean() }) });

/** The final state of the last request that the run saw through; undefined when it saw none through. */
export function endingOf(text: string): string | undefined {
  const answers = (historyOf(text).events ?? []).flatMap(({ markerRecordedEventAttributes: marker }) =>
    (marker?.details?.['result']?.payloads ?? []).map(({ data }) =>
      JSON.parse(Buffer.from(data ?? []).toString('utf8')),
    ),
  );
  return answers
    .flatMap((answer) => {
      const { success, data } = Answer.safeParse(answer);
      return success && data.plan.done ? [data.plan.state] : [];
    })
    .at(-1);
}

/** Payloads are decrypted and processes made nameless. */
export async function storeHistory(
  story: string,
  history: History,
  { codecs, workflowId, namespace }: { codecs: readonly PayloadCodec[]; workflowId: string; namespace: string },
): Promise<void> {
  const plain = await edited(asJson(history), async (payload) => {
    let [decoded] = [payload];
    for (const codec of codecs.toReversed()) {
      [decoded = payload] = await codec.decode([decoded], { type: 'workflow', namespace, workflowId });
    }
    return decoded;
  });
  writeFileSync(`${directory}${story}.json`, `${JSON.stringify(plain, null, 1)}\n`);
}

function asJson(history: History): Json {
  const message = HistoryMessage.fromObject(history);
  return HistoryMessage.toObject(message, { longs: String, enums: String, bytes: String }) as Json;
}

interface Payload {
  readonly metadata?: Record<string, Uint8Array> | null;
  readonly data?: Uint8Array | null;
}

const base64OfEncrypted = Buffer.from('binary/encrypted').toString('base64');

async function edited(value: Json, decode: (payload: Payload) => Promise<Payload>): Promise<Json> {
  if (Array.isArray(value)) return Promise.all(value.map((part) => edited(part, decode)));
  if (typeof value !== 'object' || value === null) return value;
  if (isEncryptedPayload(value)) return payloadToJson(await decode(payloadOf(value)));
  const parts = Object.entries(value).map(async ([member, part]): Promise<[string, Json]> => {
    if (member === 'stackTrace' || isOfAProcess(part)) return [member, 'tenure'];
    return [member, await edited(part, decode)];
  });
  return Object.fromEntries(await Promise.all(parts));
}

/** `<pid>@<host>`, and the name of its sticky task queue, which begins so. Replay reads neither, nor stack traces. */
const isOfAProcess = (value: Json): boolean => typeof value === 'string' && /^\d+@/.test(value);

type JsonPayload = { metadata: { [member: string]: string }; data?: string };

function isEncryptedPayload(value: { [member: string]: Json }): value is JsonPayload {
  const metadata = value['metadata'];
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return false;
  return metadata['encoding'] === base64OfEncrypted;
}

function payloadOf({ metadata, data = '' }: JsonPayload): Payload {
  const members = Object.entries(metadata).map(([member, text]) => [member, Buffer.from(text, 'base64')] as const);
  return { metadata: Object.fromEntries(members), data: Buffer.from(data, 'base64') };
}

function payloadToJson({ metadata, data }: Payload): Json {
  const members = Object.entries(metadata ?? {}).map(([member, bytes]) => [member, base64(bytes)]);
  return { metadata: Object.fromEntries(members), ...(data ? { data: base64(withoutTrace(data)) } : {}) };
}

/** A failure's message and stack trace are a payload too (contracts/failureConverter.ts). */
function withoutTrace(data: Uint8Array): Uint8Array {
  const text = Buffer.from(data).toString('utf8');
  if (!text.includes('"stack_trace"')) return data;
  return Buffer.from(JSON.stringify({ ...JSON.parse(text), stack_trace: '' }));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
