import { createSecretKey, randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload, type SerializationContext } from '@temporalio/common';
import { expect, test } from 'vitest';
import { PayloadUnreadable, payloadCodec } from '../../configuration/payloadCodec.ts';
import { payloadKey, payloadKeys } from '../../configuration/payloadKeys.ts';

const freshKey = () => payloadKey(createSecretKey(randomBytes(32)));
const codec = payloadCodec(payloadKeys(freshKey()));
const of = (workflowId: string): SerializationContext => ({ type: 'workflow', namespace: 'default', workflowId });
const mine = of('rotation/i_1');

const canary = { justification: 'canary: the order service gets its own account' };
const plain: Payload = defaultPayloadConverter.toPayload(canary);

async function encoded(context?: SerializationContext, from = codec): Promise<Payload> {
  const [payload] = await from.encode([plain], context);
  if (payload === undefined) throw new Error('nothing was encoded');
  return payload;
}

const decoded = async (payload: Payload, context?: SerializationContext, by = codec): Promise<unknown[]> =>
  (await by.decode([payload], context)).map((each) => defaultPayloadConverter.fromPayload(each));

test('what is encoded for a workflow decodes for that workflow, with its metadata', async () => {
  expect(await decoded(await encoded(mine), mine)).toEqual([canary]);
});

test('the activities of a workflow read what the workflow wrote, and it reads what they answer', async () => {
  const activity: SerializationContext = {
    type: 'activity',
    namespace: 'default',
    workflowId: 'rotation/i_1',
    activityId: '1',
    isLocal: true,
  };
  expect(await decoded(await encoded(mine), activity)).toEqual([canary]);
  expect(await decoded(await encoded(activity), mine)).toEqual([canary]);
});

test('neither the value nor what kind of value it is can be seen, and equal values look different', async () => {
  const one = await encoded(mine);
  const shown = Buffer.concat([...Object.values(one.metadata ?? {}), one.data ?? new Uint8Array()]).toString('latin1');
  expect(shown).not.toContain('canary');
  expect(shown).not.toContain('json');
  expect(Buffer.from((await encoded(mine)).data ?? [])).not.toEqual(Buffer.from(one.data ?? []));
});

test.each([
  ['of another identity', of('rotation/i_2')],
  ['of another kind', of('revocation/i_1')],
  ['that nobody named', undefined],
])('a payload moved to a workflow %s does not decode', async (_name, elsewhere) => {
  await expect(decoded(await encoded(mine), elsewhere)).rejects.toThrow(PayloadUnreadable);
});

test('a failure that the SDK encodes for no workflow decodes as no workflow and passes for none', async () => {
  const payload = await encoded(undefined);
  expect(await decoded(payload)).toEqual([canary]);
  await expect(decoded(payload, mine)).rejects.toThrow(PayloadUnreadable);
});

test('one run of the schedule reads what Temporal carries over from the run before', async () => {
  const before = of('lifecycle-2026-11-22T02:46:00Z');
  expect(await decoded(await encoded(before), of('lifecycle-2026-11-22T02:47:00Z'))).toEqual([canary]);
  await expect(decoded(await encoded(before), mine)).rejects.toThrow(PayloadUnreadable);
});

test('any changed byte is found, wherever it is', async () => {
  const payload = await encoded(mine);
  const bytes = Buffer.from(payload.data ?? []);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(codec.decode([{ ...payload, data: changed }], mine)).rejects.toThrow(PayloadUnreadable);
  }
  for (const length of [0, 11, 27, bytes.length - 1])
    await expect(codec.decode([{ ...payload, data: bytes.subarray(0, length) }], mine)).rejects.toThrow(
      PayloadUnreadable,
    );
});

test('a plain payload is refused: access to Temporal does not give the power to say something', async () => {
  await expect(codec.decode([plain], mine)).rejects.toThrow(/workflow rotation\/i_1 is not encrypted, and refused/);
  await expect(codec.decode([{}], mine)).rejects.toThrow(PayloadUnreadable);
});

test('no value stays no value, and cannot bring data with it', async () => {
  const none = defaultPayloadConverter.toPayload(undefined);
  expect(await codec.encode([none], mine)).toEqual([none]);
  const [read] = await codec.decode([{ ...none, data: Buffer.from('"smuggled"') }], mine);
  expect(read?.data).toBeUndefined();
});

test('after a rotation new payloads are under the new key and old ones still decode', async () => {
  const [old, next] = [freshKey(), freshKey()];
  const before = payloadCodec(payloadKeys(old));
  const after = payloadCodec(payloadKeys(next, [old]));
  expect(await decoded(await encoded(mine, before), mine, after)).toEqual([canary]);
  const keyId = (payload: Payload) => Buffer.from(payload.metadata?.['encryption-key-id'] ?? []).toString();
  expect(keyId(await encoded(mine, after))).toBe(next.id);
  await expect(decoded(await encoded(mine, after), mine, before)).rejects.toThrow(
    new RegExp(`under key ${next.id}, which is not here`),
  );
});

test('an error names workflow and key, and shows nothing of the payload', async () => {
  const error = await decoded(await encoded(of('rotation/i_2')), mine).catch((thrown: unknown) => thrown);
  if (!(error instanceof Error)) throw new Error('it was not refused');
  expect(error.message).toContain('workflow rotation/i_1');
  expect(JSON.stringify([error.message, error.stack, String(error.cause)])).not.toContain('canary');
});
