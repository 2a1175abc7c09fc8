import type { Command } from 'commander';
import type { BundleReport } from '../domain/evidence/bundleCheck.ts';
import type { DecisionCounts } from '../domain/evidence/decisionCheck.ts';
import { accessOptions, requireUrl } from './apiCalls.ts';
import { registerEvidenceCare } from './evidenceCare.ts';
import { exportEvidence } from './evidenceExport.ts';
import { fetchRequestEvidence } from './evidenceRequest.ts';
import {
  isBundle,
  type VerificationImpossible,
  type VerificationReport,
  verifyBundle,
  verifyExport,
} from './evidenceVerify.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { coloured, printJson } from './output.ts';

/** `tenure evidence export` and `tenure evidence verify`; exit 1 when something does not verify. */
export function registerEvidence(program: Command): void {
  const [urlOption, tokenOption] = accessOptions('an auditor');
  const evidence = program.command('evidence').description('export the evidence log, and verify an export offline');

  evidence
    .command('export')
    .description('fetch the whole log through the API into a directory: entries.jsonl, checkpoint, vkey')
    .argument('<dir>', 'where to; it must not hold an export yet')
    .addOption(urlOption)
    .addOption(tokenOption)
    .option('--json', 'print the report as JSON')
    .action(async (directory: string, options: { url: string; token: string; json?: true }) => {
      requireUrl(options.url);
      const report = await exportEvidence({ url: options.url, token: options.token, directory });
      if (options.json) return finish(report, () => printJson(report));
      finish(report, () => {
        if (report.ok) print(`Exported ${report.size} entries of ${report.origin} to ${directory}; they verify.`);
        else printProblems(`Exported to ${directory}, but the export does not verify.`, report);
        print(`Verify it offline, anywhere, at any time: tenure evidence verify ${directory}`);
      });
    });

  evidence
    .command('request')
    .description('fetch all evidence of one request into a directory, with what proves it whole')
    .argument('<id>', 'the request')
    .argument('<dir>', 'where to; it must not hold evidence yet')
    .addOption(urlOption)
    .addOption(tokenOption)
    .option('--json', 'print the report as JSON')
    .action(async (requestId: string, directory: string, options: { url: string; token: string; json?: true }) => {
      requireUrl(options.url);
      const report = await fetchRequestEvidence({ url: options.url, token: options.token, requestId, directory });
      if (options.json) return finish(report, () => printJson(report));
      finish(report, () => {
        tellOfBundle(directory, report);
        print(`Verify it offline, anywhere, at any time: tenure evidence verify ${directory}`);
      });
    });

  evidence
    .command('verify')
    .description('verify an export offline: signature, every entry, every decision, and that history was not rewritten')
    .argument('<dir>', 'the export, or the evidence of one request')
    .option('--checkpoint <file>', 'a checkpoint of the same log that you kept: the export must continue it')
    .option('--vkey <file>', 'the note key as you were given it, instead of the one in the export')
    .option('--json', 'print the report as JSON')
    .action(async (directory: string, options: { checkpoint?: string; vkey?: string; json?: true }) => {
      if (isBundle(directory)) {
        if (options.checkpoint !== undefined)
          throw new CommandFailed(
            'usage',
            '--checkpoint is for exports: one request does not tell how the log went on.',
          );
        const bundle = await verifyBundle({
          directory,
          ...(options.vkey === undefined ? {} : { vkeyFile: options.vkey }),
        });
        return finish(bundle, () => (options.json ? printJson(bundle) : tellOfBundle(directory, bundle)));
      }
      const report = await verifyExport({
        directory,
        ...(options.checkpoint === undefined ? {} : { heldCheckpointFile: options.checkpoint }),
        ...(options.vkey === undefined ? {} : { vkeyFile: options.vkey }),
      });
      if (options.json) return finish(report, () => printJson(report));
      finish(report, () => {
        if ('size' in report && report.ok) {
          print(
            `${coloured('green', 'Verified')}: ${report.size} entries of ${report.origin} are exactly what was signed.`,
          );
          print(`Root ${report.root} at size ${report.size}.`);
          for (const line of decisionLines(report.decisions)) print(line);
          if (report.heldSize !== undefined)
            print(`They continue the checkpoint of size ${report.heldSize} that you hold.`);
        } else {
          printProblems(`${coloured('red', 'Not verified')}: ${directory} is not what was signed.`, report);
        }
        for (const hint of hints(options)) print(hint);
      });
    });

  registerEvidenceCare(evidence);
}

function tellOfBundle(directory: string, report: BundleReport | VerificationImpossible): void {
  if (!('chain' in report) || !report.ok)
    return printProblems(`${coloured('red', 'Not verified')}: ${directory} is not all that was signed.`, report);
  print(
    `${coloured('green', 'Verified')}: all ${report.entries} entries of ${report.chain} in ${report.origin} at size ${report.size}.`,
  );
  for (const line of decisionLines(report.decisions)) print(line);
}

function decisionLines({ verified, notVerifiable, notVerifiableSince }: DecisionCounts): string[] {
  return [
    `${verified} decisions: each signed by a key of this log, on what the log shows.`,
    ...(notVerifiable === 0
      ? []
      : [
          `${notVerifiable} of the first version are not verifiable by third parties: their signatures name a person, evidence does not.`,
        ]),
    ...(notVerifiableSince === 0
      ? []
      : [
          `${notVerifiableSince} of those came after the log named its decision keys: right only while a process of an earlier release was still running.`,
        ]),
  ];
}

/** What this run could not know. MACs need a key that never leaves the installation. */
function hints(options: { checkpoint?: string; vkey?: string }): string[] {
  return [
    ...(options.vkey === undefined
      ? ['The key came with the export: compare it with the one you were given, or name that one with --vkey.']
      : []),
    ...(options.checkpoint === undefined
      ? ['To see that history was not rewritten or cut back, name a checkpoint you kept with --checkpoint.']
      : []),
  ];
}

function finish(report: VerificationReport | BundleReport, tell: () => void): void {
  tell();
  if (!report.ok) process.exitCode = exitCodes.checkFailed.code;
}

function printProblems(headline: string, report: VerificationReport | BundleReport): void {
  print(headline);
  for (const problem of report.problems) {
    print(`  ${'line' in problem ? `entries.jsonl:${problem.line}: ` : ''}${problem.message}`);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
