import { readFileSync } from 'node:fs';
import type { SecretReference } from './configurationSchema.ts';

/** A named secret could not be read. Nothing was changed; the name is told, never a value. */
export class SecretUnreadable extends Error {
  override readonly name = 'SecretUnreadable';
}

/**
 * Reads the secret that a configuration value names: when it is needed and by the process that needs it, so that loading the
 * configuration touches no secret and a rotated file is seen at the next read.
 * @returns the value; one line end at the end of a file is not part of it
 * @throws SecretUnreadable when the variable or file is missing or empty
 */
export function readSecret(reference: SecretReference, env: NodeJS.ProcessEnv): string {
  if (typeof reference === 'string') return reference;
  if ('env' in reference) {
    const value = env[reference.env];
    if (value === undefined || value === '')
      throw new SecretUnreadable(
        `The environment variable ${reference.env}, named by tenure.yaml, is not set. Set it and start again.`,
      );
    return value;
  }
  const value = readFile(reference.file).replace(/\r?\n$/, '');
  if (value === '')
    throw new SecretUnreadable(`The file ${reference.file}, named by tenure.yaml, is empty. Put the secret into it.`);
  return value;
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new SecretUnreadable(
      `The file ${path}, named by tenure.yaml, cannot be read (${code}). Create it, readable for Tenure's user only.`,
      { cause },
    );
  }
}
