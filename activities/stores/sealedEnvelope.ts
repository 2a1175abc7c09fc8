import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SealedBytes } from '../../ledger/sealedValues.ts';
import type { SealedKeys } from './sealedKeys.ts';

/** What an envelope belongs to. Sealed in as additional data: moved to another row, it does not open. */
export interface EnvelopePlace {
  readonly identityId: string;
  readonly path: string;
  readonly version: number | null;
  readonly epoch: number | null;
}

/** The envelope does not open. The value stays where it is; neither it nor a key is in the message. */
export class EnvelopeUnreadable extends Error {
  override readonly name = 'EnvelopeUnreadable';
}

// NIST SP 800-38D: a random 96-bit IV per envelope is safe for 2^32 envelopes under one key; the tag has full length.
const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

/** Seals a value under the writing key: IV, ciphertext, tag. */
export function sealValue(keys: SealedKeys, place: EnvelopePlace, value: string): SealedBytes {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, keys.writing.key, iv, { authTagLength: tagBytes }).setAAD(
    additionalData(place),
  );
  const ciphertext = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return { keyId: keys.writing.id, envelope: new Uint8Array([...iv, ...ciphertext, ...cipher.getAuthTag()]) };
}

/** @throws EnvelopeUnreadable when its key is not configured, or it was altered or moved */
export function openEnvelope(keys: SealedKeys, place: EnvelopePlace, { keyId, envelope }: SealedBytes): string {
  const where = `${place.path} of identity ${place.identityId}`;
  const found = keys.reading.get(keyId);
  if (found === undefined)
    throw new EnvelopeUnreadable(
      `the value at ${where} is sealed under key ${keyId}, which is not configured; add its file to previousKeyFiles`,
    );
  try {
    if (envelope.length < ivBytes + tagBytes) throw new RangeError('Too short for an envelope.');
    const decipher = createDecipheriv(algorithm, found.key, envelope.subarray(0, ivBytes), { authTagLength: tagBytes })
      .setAAD(additionalData(place))
      .setAuthTag(envelope.subarray(-tagBytes));
    return Buffer.concat([decipher.update(envelope.subarray(ivBytes, -tagBytes)), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new EnvelopeUnreadable(
      `the value at ${where} does not open under key ${keyId}: it was altered, or put there from another place`,
      { cause },
    );
  }
}

function additionalData({ identityId, path, version, epoch }: EnvelopePlace): Buffer {
  return Buffer.from(JSON.stringify(['tenure sealed v1', identityId, path, version, epoch]));
}
