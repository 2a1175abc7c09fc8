import type { LiveSecret, SecretSource } from './ports.ts';
import { Problem } from './problem.ts';

/**
 * What the store serves now of an identity. Ask only after `recordSecretAccess`.
 * @throws Problem `store-unavailable`
 */
export async function readLive(
  secrets: SecretSource,
  store: string,
  identityId: string,
): Promise<LiveSecret | undefined> {
  try {
    return await secrets.readLive(store, identityId);
  } catch (cause) {
    // Known by name: the adapters are not the API's to import.
    if (!(cause instanceof Error) || cause.name !== 'StoreUnavailable') throw cause;
    throw new Problem(
      'store-unavailable',
      `Store "${store}" does not answer now. Read again; what you hold is valid until it is rotated.`,
      {
        headers: { 'Retry-After': '1' },
        cause,
      },
    );
  }
}
