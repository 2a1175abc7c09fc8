import type { PublicationFinding } from '../domain/flow/publishing/findings.ts';
import { type RecoveryStatement, recoveryDigest } from '../domain/flow/publishing/recovery.ts';
import { coloured, counted, printLine, visible } from './output.ts';

/** What two people are asked to sign, in words. Whoever prepared it may have written anything: nothing acts on the terminal. */
export function printStatement(statement: RecoveryStatement): void {
  const { installation, documents, retired, weakening, reason, createdAt, endsAt } = statement;
  printLine(`Flows of ${visible(installation)}, to be applied from ${createdAt} until ${endsAt}.`);
  printLine(`Reason: ${visible(reason)}\n`);
  for (const { name, digest, replaces } of documents)
    printLine(`  ${(replaces === null ? 'new' : 'changed').padEnd(8)} ${visible(name)} (sha256 ${digest})`);
  for (const { name } of retired) printLine(`  ${'retired'.padEnd(8)} ${visible(name)}`);
  if (weakening.length > 0) printLine('');
  for (const line of weakening) printLine(`${coloured('red', 'WEAKENS')} ${visible(line)}`);
  printLine(`\nStatement sha256 ${recoveryDigest(statement)}; it holds the whole text of each document.`);
}

/** Why it cannot be published, as `tenure flows plan` shows it. */
export function printUnsound(findings: readonly PublicationFinding[]): void {
  printLine(`${coloured('red', 'Cannot be published')}: ${counted(findings.length, 'finding')}.`);
  for (const { shown } of findings) printLine(`\n${shown}`);
  printLine('\nNothing was published. Correct these, then prepare it anew.');
}
