import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { exitCodes } from '../cli/exitCodes.ts';
import { ConfigurationInvalid, loadConfiguration } from '../configuration/loadConfiguration.ts';
import { readSecret, SecretUnreadable } from '../configuration/secretReference.ts';
import { openPrisma } from '../ledger/client.ts';
import { recordedRequests } from '../ledger/queries/recordedRequests.ts';

/**
 * The process behind `tenure flows record`: wiring only. Writes recorded requests as JSON Lines to stdout. It needs the
 * ledger's address (TENURE_CONFIG), only reads, and may run beside everything else.
 */
async function record(): Promise<void> {
  const { values } = parseArgs({ options: { flow: { type: 'string' } } });
  const configuration = loadConfiguration(process.env['TENURE_CONFIG'] ?? 'tenure.yaml', process.env);
  const prisma = openPrisma({ databaseUrl: readSecret(configuration.database, process.env), poolSize: 1 });
  try {
    for await (const request of recordedRequests(prisma, { flowName: values.flow })) {
      if (!process.stdout.write(`${JSON.stringify(request)}\n`)) await once(process.stdout, 'drain');
    }
  } finally {
    await prisma.$disconnect();
  }
}

try {
  await record();
} catch (error) {
  console.error(error instanceof Error ? error.message.trim() : String(error));
  const isConfiguration = error instanceof ConfigurationInvalid || error instanceof SecretUnreadable;
  process.exitCode = isConfiguration ? exitCodes.configuration.code : exitCodes.unavailable.code;
}
