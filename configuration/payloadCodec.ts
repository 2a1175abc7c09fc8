import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import proto from '@temporalio/proto';
import { lifecycleScheduleId } from '../contracts/names.ts';
import type { PayloadKeys } from './payloadKeys.ts';

const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

// NIST SP 800-38D: a random 96-bit IV is safe for 2^32 payloads under one key; the tag has full length.
const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

/** The name by which Temporal's tools know encrypted payloads. */
const encrypted = 'binary/encrypted';
/** No value: nothing to hide, and whoever can write it could as well leave the payload out. */
const nothing = 'binary/null';
const keyIdMember = 'encryption-key-id';

/** A payload is not ours, not this workflow's, altered, or under a key that is not here. Nothing of it was used. */
export class PayloadUnreadable extends Error {
  override readonly name = 'PayloadUnreadable';
}

/**
 * Encrypts what Temporal stores (AES-256-GCM), bound to its workflow id as additional data: altered, or moved to another
 * workflow, it does not decode. Plain payloads are refused, so access to Temporal gives neither reading nor writing.
 *
 * The encrypted form is `IV || ciphertext || tag` of the original payload's protobuf bytes, its metadata included; the
 * key's id stands beside it.
 */
export function payloadCodec(keys: PayloadKeys): PayloadCodec {
  return {
    encode: async (payloads, context) => payloads.map((payload) => encode(keys, payload, boundTo(context))),
    decode: async (payloads, context) => payloads.map((payload) => decode(keys, payload, boundTo(context))),
  };
}

const scheduledRun = new RegExp(`^${lifecycleScheduleId}-\\d{4}-\\d{2}-\\d{2}T`);

/**
 * Whose the payload is. Temporal itself carries the last run's result and failure into the next run of a schedule, each
 * under an id of its own: these belong to the schedule. The SDK names no workflow when a workflow task fails before or
 * outside of workflow code; that failure belongs to nobody and decodes as nobody's only.
 */
function boundTo(context: SerializationContext | undefined): string | null {
  const workflowId = context?.workflowId;
  if (workflowId === undefined) return null;
  return scheduledRun.test(workflowId) ? lifecycleScheduleId : workflowId;
}

function encode({ writing }: PayloadKeys, payload: Payload, subject: string | null): Payload {
  if (encodingOf(payload) === nothing) return payload;
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, writing.key, iv, { authTagLength: tagBytes });
  cipher.setAAD(additionalData(subject));
  const ciphertext = [cipher.update(PayloadMessage.encode(payload).finish()), cipher.final()];
  return {
    metadata: { encoding: Buffer.from(encrypted), [keyIdMember]: Buffer.from(writing.id) },
    data: Buffer.concat([iv, ...ciphertext, cipher.getAuthTag()]),
  };
}

function decode({ reading }: PayloadKeys, payload: Payload, subject: string | null): Payload {
  const encoding = encodingOf(payload);
  if (encoding === nothing) return { metadata: { encoding: Buffer.from(nothing) } };
  const whose = subject === null ? 'A payload of no workflow' : `A payload of workflow ${subject}`;
  if (encoding !== encrypted)
    throw new PayloadUnreadable(
      `${whose} is not encrypted, and refused: it was not written by this installation, or before it encrypted. Terminate that run; Tenure starts it again from the ledger.`,
    );
  const keyId = metadataOf(payload, keyIdMember);
  const found = reading.get(keyId);
  if (found === undefined)
    throw new PayloadUnreadable(
      `${whose} is encrypted under key ${keyId}, which is not here. Put its file into payload-codec-previous/ of the key directory and restart.`,
    );
  const bytes = payload.data ?? new Uint8Array();
  try {
    if (bytes.length < ivBytes + tagBytes) throw new RangeError('Too short for an encrypted payload.');
    const decipher = createDecipheriv(algorithm, found.key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes });
    decipher.setAAD(additionalData(subject)).setAuthTag(bytes.subarray(-tagBytes));
    const plain = [decipher.update(bytes.subarray(ivBytes, -tagBytes)), decipher.final()];
    return PayloadMessage.decode(Buffer.concat(plain));
  } catch (cause) {
    throw new PayloadUnreadable(
      `${whose} does not decode under key ${keyId}: it was altered, or made for another workflow. Find out who can write to the Temporal namespace; then terminate that run, and Tenure starts it again from the ledger.`,
      { cause },
    );
  }
}

function additionalData(subject: string | null): Buffer {
  return Buffer.from(JSON.stringify(['tenure payload v1', subject]));
}

function encodingOf(payload: Payload): string {
  return metadataOf(payload, 'encoding');
}

function metadataOf({ metadata }: Payload, member: string): string {
  return Buffer.from(metadata?.[member] ?? []).toString('latin1');
}
