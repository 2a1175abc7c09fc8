import { loadSealedKeys, SealedKeyUnusable } from '../activities/stores/sealedKeys.ts';
import { rekeySealedValues, valuesUnderUnknownKeys } from '../activities/stores/sealedRekey.ts';
import { exitCodes } from '../cli/exitCodes.ts';
import { ConfigurationInvalid, loadConfiguration } from '../configuration/loadConfiguration.ts';
import { readSecret, SecretUnreadable } from '../configuration/secretReference.ts';
import { openPrisma } from '../ledger/client.ts';

/**
 * The process behind `tenure store rekey`: wiring only. Seals every value of every sealed store under its store's
 * writing key. It needs what the worker has (TENURE_CONFIG, the key files, the ledger's address), may run beside it, and
 * can be repeated.
 */
async function rekey(): Promise<number> {
  const configuration = loadConfiguration(process.env['TENURE_CONFIG'] ?? 'tenure.yaml', process.env);
  const stores = Object.entries(configuration.stores).flatMap(([name, store]) =>
    store.type === 'sealed' ? [{ name, keys: loadSealedKeys(store, process.env) }] : [],
  );
  if (stores.length === 0) throw new ConfigurationInvalid(['tenure.yaml declares no sealed store: nothing to re-key.']);

  const prisma = openPrisma({ databaseUrl: readSecret(configuration.database, process.env), poolSize: 2 });
  try {
    for (const { name, keys } of stores) {
      const count = await rekeySealedValues(prisma, keys);
      console.log(
        `Store ${name}: ${count} values sealed anew, all that its keys open are under key ${keys.writing.id}.`,
      );
    }
    const unknown = await valuesUnderUnknownKeys(
      prisma,
      stores.map(({ keys }) => keys),
    );
    for (const { keyId, count } of unknown)
      console.error(
        `${count} values are sealed under key ${keyId}, which no store has. Add its file to previousKeyFiles and run this again.`,
      );
    if (unknown.length > 0) return exitCodes.checkFailed.code;
    console.log(
      'The previous keys are needed no more: remove them from previousKeyFiles once every process runs without them.',
    );
    return exitCodes.ok.code;
  } finally {
    await prisma.$disconnect();
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigurationInvalid || error instanceof SecretUnreadable || error instanceof SealedKeyUnusable)
    return exitCodes.configuration.code;
  return error instanceof Error && error.name === 'EnvelopeUnreadable'
    ? exitCodes.checkFailed.code
    : exitCodes.unavailable.code;
}

try {
  process.exitCode = await rekey();
} catch (error) {
  console.error(error instanceof Error ? error.message.trim() : String(error));
  process.exitCode = exitCodeOf(error);
}
