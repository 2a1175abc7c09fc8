import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { strictBase64 } from '../../configuration/keyFiles.ts';

/** The keys of a sealed store: one that writes, and all that may still be needed for reading, itself included. */
export interface SealedKeys {
  readonly writing: SealedKey;
  readonly reading: ReadonlyMap<string, SealedKey>;
}

export interface SealedKey {
  /** The first 8 bytes of the SHA-256 of the key, in hexadecimal. */
  readonly id: string;
  /** AES-256. A KeyObject prints as nothing, so no key can reach a log by accident. */
  readonly key: KeyObject;
}

/** A key of a sealed store cannot be used. Its place is named, its content never. */
export class SealedKeyUnusable extends Error {
  override readonly name = 'SealedKeyUnusable';
}

/** Where the keys are: the writing one in a file or an environment variable, earlier (or coming) ones in files. */
export interface SealedKeySources {
  readonly keyFile?: string | undefined;
  readonly keyEnv?: string | undefined;
  readonly previousKeyFiles: readonly string[];
}

/**
 * Reads the keys of a sealed store: 32 bytes each, base64 or hexadecimal (`openssl rand -base64 32`).
 * @throws SealedKeyUnusable when a source is missing, malformed, or a file that other users may read
 */
export function loadSealedKeys(
  { keyFile, keyEnv, previousKeyFiles }: SealedKeySources,
  env: NodeJS.ProcessEnv,
): SealedKeys {
  const writing = writingKey({ keyFile, keyEnv }, env);
  return sealedKeys(
    writing,
    previousKeyFiles.map((path) => sealedKey(readPrivately(path), path)),
  );
}

export function sealedKeys(writing: SealedKey, previous: readonly SealedKey[] = []): SealedKeys {
  return { writing, reading: new Map([...previous, writing].map((each) => [each.id, each])) };
}

/** @param source its name for the error, should it not be a key */
export function sealedKey(text: string, source: string): SealedKey {
  const trimmed = text.trim();
  const bytes = /^[0-9a-fA-F]{64}$/.test(trimmed) ? Buffer.from(trimmed, 'hex') : strictBase64(trimmed);
  if (bytes?.length !== 32)
    throw new SealedKeyUnusable(
      `${source} does not hold 32 bytes in base64 or hexadecimal. Make a key with "openssl rand -base64 32".`,
    );
  return {
    id: createHash('sha256').update(bytes).digest().subarray(0, 8).toString('hex'),
    key: createSecretKey(bytes),
  };
}

function writingKey(
  { keyFile, keyEnv }: Pick<SealedKeySources, 'keyFile' | 'keyEnv'>,
  env: NodeJS.ProcessEnv,
): SealedKey {
  if (keyFile !== undefined) return sealedKey(readPrivately(keyFile), keyFile);
  if (keyEnv === undefined)
    throw new SealedKeyUnusable('A sealed store needs keyFile or keyEnv. Name one of them in tenure.yaml.');
  const text = env[keyEnv];
  if (text === undefined || text === '')
    throw new SealedKeyUnusable(
      `The environment variable ${keyEnv}, which holds a sealed store's key, is not set. Set it and start again.`,
    );
  return sealedKey(text, `The environment variable ${keyEnv}`);
}

function readPrivately(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new SealedKeyUnusable(
      `The key file ${path} of a sealed store cannot be opened (${code}). Restore it, or correct its path in tenure.yaml.`,
      { cause },
    );
  }
  try {
    const mode = fstatSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw new SealedKeyUnusable(
        `The key file ${path} is open to other users (mode ${mode.toString(8)}). Run "chmod 600" on it, and change the key if others could read it.`,
      );
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
