import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';

/** The key directory cannot be used. Nothing was changed. */
export class KeysUnusable extends Error {
  override readonly name = 'KeysUnusable';
}

/** The text of a fresh secret key: 32 random bytes in base64, one line. */
export function freshSecretKey(): string {
  return `${randomBytes(32).toString('base64')}\n`;
}

/** Bytes in base64 (RFC 4648 §4); undefined for anything else: Buffer.from would ignore it, and take a damaged key for another. */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** Writes a new file (0600) that is on disk when this returns. @throws EEXIST when it is there already */
export function writeDurably(path: string, content: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** @throws KeysUnusable when other users may read it */
export function readPrivateFile(path: string): string {
  // Group or world access means that someone else may hold the key already: refuse rather than repair silently.
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0)
    throw new KeysUnusable(
      `${path} is open to other users (mode ${mode.toString(8)}). Run "chmod 600" on it, and replace the key if others could read it.`,
    );
  return readFileSync(path, 'utf8');
}

/** A secret key of 32 bytes. @throws KeysUnusable when it is malformed or other users may read it */
export function readSecretKey(path: string): KeyObject {
  const bytes = Buffer.from(readPrivateFile(path).trim(), 'base64');
  if (bytes.length !== 32)
    throw new KeysUnusable(`${path} does not hold 32 bytes in base64. Restore it from the backup.`);
  return createSecretKey(bytes);
}
