import { timingSafeEqual } from 'node:crypto';
import type { Configuration } from '../configuration/configurationSchema.ts';
import { readHashKey } from '../configuration/hashKey.ts';
import { apiKeyDigest, isApiKey } from '../domain/apiKey.ts';
import { findVerifiableKey, type KnownApiKey } from '../ledger/apiKeyVerification.ts';
import type { Ledger } from '../ledger/client.ts';

/** Whose key a text is; undefined when no issuer of tenure.yaml made it. */
export type ApiKeyLookup = (key: string) => Promise<KnownApiKey | undefined>;

/**
 * Finds API keys by their keyed hash. A text of another form or with a wrong checksum costs no look-up; of any other, what
 * is compared is a hash that nobody without the hash key can predict, so that time tells nothing of a key.
 * @throws SecretUnreadable at once, when a tenure-key issuer's hash key cannot be read
 */
export function apiKeyLookup({
  configuration,
  ledger: { prisma },
  env,
}: {
  configuration: Configuration;
  ledger: Pick<Ledger, 'prisma'>;
  env: NodeJS.ProcessEnv;
}): ApiKeyLookup {
  const issuers = Object.entries(configuration.issuers).flatMap(([name, issuer]) =>
    issuer.type === 'tenure-key' ? [{ prefix: issuer.prefix, hashKey: readHashKey(name, issuer.hashKey, env) }] : [],
  );
  return async (key) => {
    for (const { prefix, hashKey } of issuers) {
      if (!isApiKey(key, prefix)) continue;
      const digest = apiKeyDigest(key, hashKey);
      const found = await findVerifiableKey(prisma, digest);
      if (found !== undefined && timingSafeEqual(found.digest, digest)) return found;
    }
    return undefined;
  };
}
