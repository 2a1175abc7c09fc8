import type { Configuration } from '../configuration/configurationSchema.ts';
import { loadKeys } from '../configuration/keys.ts';
import { loadConfiguration } from '../configuration/loadConfiguration.ts';
import { readSecret } from '../configuration/secretReference.ts';
import { type OpenedLedger, openLedger } from '../ledger/openLedger.ts';

/**
 * What an operator's command on the worker's machine works with: TENURE_CONFIG, the key directory, and the ledger over two
 * connections, which the caller closes. Makes no keys.
 * @throws ConfigurationInvalid, SecretUnreadable, KeysUnusable, KeysOfAnotherInstallation
 */
export async function openOperatorLedger(): Promise<{ configuration: Configuration; ledger: OpenedLedger }> {
  const configuration = loadConfiguration(process.env['TENURE_CONFIG'] ?? 'tenure.yaml', process.env);
  const ledger = await openLedger({
    databaseUrl: readSecret(configuration.database, process.env),
    host: new URL(configuration.publicUrl).host,
    leaseMs: configuration.leaseSeconds * 1000,
    poolSize: 2,
    keys: loadKeys(configuration.keys.directory, { create: false }),
  });
  return { configuration, ledger };
}
