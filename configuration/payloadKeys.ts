import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { existsSync, linkSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freshSecretKey, KeysUnusable, readSecretKey, writeDurably } from './keyFiles.ts';

/** Keys of what Temporal stores for us: one that writes, and all that may still be needed for reading, itself included. */
export interface PayloadKeys {
  readonly writing: PayloadKey;
  readonly reading: ReadonlyMap<string, PayloadKey>;
}

export interface PayloadKey {
  /** The first 8 bytes of the SHA-256 of the key, in hexadecimal. */
  readonly id: string;
  /** AES-256. */
  readonly key: KeyObject;
}

/** The key that writes, in the key directory. */
export const payloadKeyFile = 'payload-codec.key';
/** Earlier keys (or the coming one, while processes are restarted one by one), any `*.key`. */
const previousDirectory = 'payload-codec-previous';

/**
 * Loads the payload keys of a key directory.
 * A directory without one is an installation older than the codec, and gets one: no other key depends on it, the
 * ledger holds every fact, and what was written under a lost key is refused by name, never taken for something else.
 * Of two processes that make it at once, one wins and both load the winner's.
 * @param create false: a missing key is an error
 * @throws KeysUnusable when a file is malformed or open to other users, or when only earlier keys are there
 */
export function loadPayloadKeys(directory: string, { create }: { create: boolean }): PayloadKeys {
  const file = join(directory, payloadKeyFile);
  const previous = previousKeys(join(directory, previousDirectory));
  if (!existsSync(file)) {
    if (!create || previous.length > 0)
      throw new KeysUnusable(
        `${directory} lacks ${payloadKeyFile}. Restore it from the backup, or make a key with "openssl rand -base64 32" (mode 600); histories under a lost key cannot be read.`,
      );
    makeKey(file);
  }
  return payloadKeys(readKey(file), previous);
}

/** @param previous read, never written with */
export function payloadKeys(writing: PayloadKey, previous: readonly PayloadKey[] = []): PayloadKeys {
  return { writing, reading: new Map([...previous, writing].map((each) => [each.id, each])) };
}

/** @param key AES-256 */
export function payloadKey(key: KeyObject): PayloadKey {
  return { id: createHash('sha256').update(key.export()).digest('hex').slice(0, 16), key };
}

function previousKeys(directory: string): PayloadKey[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith('.key'))
    .map((file) => readKey(join(directory, file)));
}

function readKey(path: string): PayloadKey {
  return payloadKey(readSecretKey(path));
}

/** The link appears with the whole key in it, or not at all. */
function makeKey(file: string): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeDurably(draft, freshSecretKey());
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(draft);
  }
}
