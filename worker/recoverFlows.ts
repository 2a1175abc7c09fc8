import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CommandFailed, type ExitName, exitCodes } from '../cli/exitCodes.ts';
import { readText } from '../cli/flowFiles.ts';
import { readFlowSet } from '../cli/flowSet.ts';
import { coloured, counted, printJson, printLine } from '../cli/output.ts';
import { printStatement, printUnsound } from '../cli/recoveryWords.ts';
import type { Configuration } from '../configuration/configurationSchema.ts';
import { KeysUnusable } from '../configuration/keyFiles.ts';
import { ConfigurationInvalid } from '../configuration/loadConfiguration.ts';
import { recoveryKeyOf } from '../configuration/recoveryKeys.ts';
import { SecretUnreadable } from '../configuration/secretReference.ts';
import { type RecoveryKey, RecoveryRefused, readRecovery } from '../domain/flow/publishing/recovery.ts';
import { prepareRecovery, recoverFlows } from '../ledger/flowRecovery.ts';
import type { OpenedLedger } from '../ledger/openLedger.ts';
import { PublicationDamaged } from '../ledger/publications.ts';
import { LedgerRestored, observeIfRestored } from '../ledger/restore.ts';
import { openOperatorLedger } from './operatorLedger.ts';
import { sealingOf } from './sealing.ts';

/**
 * The process behind `tenure flows recover prepare` and `apply`: wiring only. It needs what the worker has (TENURE_CONFIG, the
 * key directory, the ledger), and neither the API nor Temporal.
 */
interface Asked {
  readonly path: string;
  readonly json: boolean;
}

async function prepare(
  ledger: OpenedLedger,
  { path, json, reason, out, retireOthers }: Asked & { reason: string; out: string; retireOthers: boolean },
): Promise<void> {
  const documents = (await readFlowSet(path)).map(({ name: _name, ...document }) => document);
  const prepared = await prepareRecovery(ledger, { documents, reason, retireOthers });
  if (prepared.is === 'published') {
    if (json) return printJson(prepared);
    return printLine(`${coloured('green', 'Nothing to do')}: all of it is published already. Nothing was written.`);
  }
  if (prepared.is === 'not-sound') {
    process.exitCode = exitCodes.checkFailed.code;
    return json ? printJson(prepared) : printUnsound(prepared.findings);
  }
  writeNew(out, `${JSON.stringify(prepared.recovery, null, 2)}\n`);
  if (json) return printJson({ is: 'prepared', file: out, statement: prepared.recovery.statement });
  printStatement(prepared.recovery.statement);
  printLine(`${out} is to be signed by two people of recovery.keys: tenure flows recover sign ${out} --key <file>`);
}

async function apply(ledger: OpenedLedger, configuration: Configuration, { path, json }: Asked): Promise<void> {
  const recovery = readRecovery(await readText(path));
  const sealing = sealingOf(ledger, configuration);
  const history = await observeIfRestored(ledger, sealing);
  if (history === 'unknown')
    console.error(
      `There is no ${sealing.headFile}, or no anchor, that tells a restored ledger: whether this one was restored is not known here.`,
    );
  const recovered = await recoverFlows(ledger, recovery, recoveryKeys(configuration));
  if (recovered.is === 'not-sound') process.exitCode = exitCodes.checkFailed.code;
  if (json) return printJson(recovered);
  if (recovered.is === 'not-sound') return printUnsound(recovered.findings);
  if (recovered.is === 'published')
    return printLine(`${coloured('green', 'Published already')}: exactly this rules. Nothing was written.`);
  const { people, published, retired, statement } = recovered;
  printLine(
    `${coloured('green', 'Published')}: ${counted(published.length, 'document')}, and ${retired.length} retired, by ${people.join(' and ')}.`,
  );
  printLine(
    `The evidence holds it as flow.recovered, statement ${statement}. Publications go on under the flows that rule now.`,
  );
}

function recoveryKeys({ recovery }: Configuration): readonly RecoveryKey[] {
  if (recovery.keys.length === 0)
    throw new ConfigurationInvalid([
      'tenure.yaml names no recovery.keys: nobody may recover flows here. docs/operating.md says how to add them.',
    ]);
  return recovery.keys.flatMap(({ person, publicKey }) => {
    const key = recoveryKeyOf(publicKey);
    return key === undefined ? [] : [{ person, ...key }];
  });
}

/** What is there may hold signatures. */
function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new CommandFailed(
      'usage',
      `${file} cannot be written (${code}). Name a file that is not there, with --out.`,
      {
        cause,
      },
    );
  }
}

async function recover(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      reason: { type: 'string', default: '' },
      out: { type: 'string', default: '' },
      'retire-others': { type: 'boolean', default: false },
    },
  });
  const [verb, path = ''] = positionals;
  const { json, reason, out, 'retire-others': retireOthers } = values;
  const { configuration, ledger } = await openOperatorLedger();
  try {
    if (verb === 'prepare') await prepare(ledger, { path, json, reason, out, retireOthers });
    else await apply(ledger, configuration, { path, json });
  } finally {
    await ledger.close();
  }
}

function exitOf(error: unknown): ExitName {
  if (error instanceof CommandFailed) return error.exit;
  if (error instanceof ConfigurationInvalid || error instanceof SecretUnreadable || error instanceof KeysUnusable)
    return 'configuration';
  const isRefusal =
    error instanceof RecoveryRefused || error instanceof LedgerRestored || error instanceof PublicationDamaged;
  return isRefusal ? 'checkFailed' : 'unavailable';
}

try {
  await recover();
} catch (error) {
  console.error(error instanceof Error ? error.message.trim() : String(error));
  process.exitCode = exitCodes[exitOf(error)].code;
}
