import { createSecretKey, type KeyObject } from 'node:crypto';
import type { SecretReference } from './configurationSchema.ts';
import { strictBase64 } from './keyFiles.ts';
import { readSecret, SecretUnreadable } from './secretReference.ts';

/**
 * The key that an issuer's API keys are hashed with: 32 bytes in base64. A KeyObject prints as nothing.
 * @throws SecretUnreadable when it is missing or malformed; the message names its place, never its content
 */
export function readHashKey(issuer: string, reference: SecretReference, env: NodeJS.ProcessEnv): KeyObject {
  const bytes = strictBase64(readSecret(reference, env).trim());
  if (bytes?.length !== 32)
    throw new SecretUnreadable(
      `The hashKey of issuer "${issuer}" in tenure.yaml does not name 32 bytes in base64. Make one with "openssl rand -base64 32", or restore it from the backup.`,
    );
  return createSecretKey(bytes);
}
