import { parseArgs } from 'node:util';
import { CommandFailed, type ExitName, exitCodes } from '../cli/exitCodes.ts';
import { coloured, printJson, printLine } from '../cli/output.ts';
import { KeysUnusable } from '../configuration/keyFiles.ts';
import { nextEvidenceKey, putNextEvidenceKey } from '../configuration/keys.ts';
import { ConfigurationInvalid } from '../configuration/loadConfiguration.ts';
import { SecretUnreadable } from '../configuration/secretReference.ts';
import { formatVerifierKey } from '../domain/evidence/signedNote.ts';
import { auditEvidence } from '../ledger/auditEvidence.ts';
import { acceptDamage } from '../ledger/evidenceDamage.ts';
import { KeysOfAnotherInstallation } from '../ledger/installationKeys.ts';
import type { OpenedLedger } from '../ledger/openLedger.ts';
import type { Sealing } from '../ledger/sealerSteps.ts';
import { NothingToSeed, seedAnchor } from '../ledger/seedAnchor.ts';
import { succeedEvidenceKey } from '../ledger/succeedEvidence.ts';
import { openOperatorLedger } from './operatorLedger.ts';
import { sealingOf } from './sealing.ts';

/**
 * The process behind `tenure evidence audit`, `accept`, `succeed` and `anchor seed`: wiring only. It needs what the worker has
 * (TENURE_CONFIG, the key directory, the ledger), and may run beside it.
 */
interface Asked {
  readonly json: boolean;
  readonly reason: string;
  readonly subject: string;
  readonly keyDirectory: string;
}

async function audit(_ledger: OpenedLedger, sealing: Sealing, { json }: Asked): Promise<void> {
  const { entries, problems } = await auditEvidence(sealing);
  const ok = problems.length === 0;
  if (!ok) process.exitCode = exitCodes.checkFailed.code;
  if (json) return printJson({ ok, entries, problems: problems.map(({ name, message }) => ({ name, message })) });
  if (ok)
    printLine(
      `${coloured('green', 'Whole')}: ${entries} sealed entries fit their hashes, their MACs and what was signed.`,
    );
  else printLine(`${coloured('red', 'Not whole')}:`);
  for (const { name, message } of problems) printLine(`${name}: ${message}`);
}

async function accept(ledger: OpenedLedger, sealing: Sealing, { json, subject, reason }: Asked): Promise<void> {
  const { problems } = await auditEvidence(sealing);
  const problem = problems.find(
    ({ found }) => found !== undefined && [subject, `entry/${subject}`].includes(found.subject),
  );
  if (problem?.found === undefined) {
    const told = problems.map(({ message }) => message).join(' ');
    throw new CommandFailed(
      'checkFailed',
      `${subject} is not what was found damaged first, so there is nothing to accept. ${told || 'The evidence is whole.'}`,
    );
  }
  await acceptDamage(ledger, problem.found, reason);
  if (json) return printJson({ accepted: problem.found.subject, found: problem.found.digest.toString('hex') });
  printLine(
    `${coloured('green', 'Accepted')}: ${problem.found.subject} stands as it was found, and the evidence says so.`,
  );
  printLine('Look for more: tenure evidence audit');
}

async function seed(ledger: OpenedLedger, sealing: Sealing, { json }: Asked): Promise<void> {
  const seeded = await seedAnchor(ledger, sealing);
  if (json) return printJson(seeded);
  const { size, origin } = seeded;
  printLine(
    seeded.seeded
      ? `${coloured('green', 'Seeded')}: the anchor keeps the checkpoint of ${origin} at ${size} entries.`
      : `${coloured('green', 'Nothing to do')}: the anchor keeps a checkpoint of ${origin} at ${size} entries. It is left as it is.`,
  );
}

async function succeed(_ledger: OpenedLedger, sealing: Sealing, { json, keyDirectory }: Asked): Promise<void> {
  const { old, newKey } = await succeedEvidenceKey(sealing, nextEvidenceKey(keyDirectory));
  putNextEvidenceKey(keyDirectory);
  const vkey = formatVerifierKey(newKey);
  if (json) return printJson({ origin: newKey.name, vkey, oldOrigin: old.origin, oldSize: old.size });
  printLine(`${coloured('green', 'Succeeded')}: ${newKey.name} goes on from ${old.origin} at ${old.size} entries.`);
  printLine(`Give your auditors its key: ${vkey}`);
  printLine('Copy evidence-signing.pem to the key directories of all processes, and start them again.');
}

const verbs = new Map([
  ['audit', audit],
  ['accept', accept],
  ['seed', seed],
  ['succeed', succeed],
]);

async function lookAfter(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, reason: { type: 'string', default: '' } },
  });
  const [verb = '', subject = ''] = positionals;
  const { configuration, ledger } = await openOperatorLedger();
  try {
    await verbs.get(verb)?.(ledger, sealingOf(ledger, configuration), {
      ...values,
      subject,
      keyDirectory: configuration.keys.directory,
    });
  } finally {
    await ledger.close();
  }
}

function exitOf(error: unknown): ExitName {
  if (error instanceof CommandFailed) return error.exit;
  if (
    error instanceof ConfigurationInvalid ||
    error instanceof SecretUnreadable ||
    error instanceof KeysUnusable ||
    error instanceof KeysOfAnotherInstallation
  )
    return 'configuration';
  const isFinding =
    error instanceof NothingToSeed ||
    (error instanceof Error && /^(Evidence|Anchor|SealerHead|Checkpoint)/.test(error.name));
  return isFinding ? 'checkFailed' : 'unavailable';
}

try {
  await lookAfter();
} catch (error) {
  console.error(error instanceof Error ? error.message.trim() : String(error));
  process.exitCode = exitCodes[exitOf(error)].code;
}
