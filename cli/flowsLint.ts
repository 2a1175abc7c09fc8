import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Approver } from '../domain/decisions.ts';
import { printableFinding } from '../domain/flow/analysis/findingWords.ts';
import { lintFlows, lintRules } from '../domain/flow/analysis/lint.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { writeSarif } from './flowsCheck.ts';
import { coloured, counted, printJson, printLine } from './output.ts';
import { analysed, readSoundFlows } from './soundFlows.ts';

interface LintOptions {
  readonly json?: true;
  readonly sarif?: string;
  readonly people?: string;
}

/** `tenure flows lint`: what is allowed and cannot be meant; exit 1 when something is an error. */
export function registerFlowsLint(flows: Command): void {
  flows
    .command('lint')
    .description('find what cannot be meant: dead stages, guards that check nothing, approvals nobody can give')
    .argument('[files...]', 'flow files, or directories of *.flow.yaml (default: flows)')
    .option('--people <file>', 'a YAML file with the people of the directory under "people", such as tenure.yaml')
    .option('--json', 'print the findings as JSON')
    .option('--sarif <file>', 'also write the findings as SARIF 2.1.0, for code hosts')
    .action(async (named: string[], options: LintOptions) => {
      const { flows: sound, tests } = await readSoundFlows(named);
      const people = options.people === undefined ? undefined : await readPeople(options.people);
      const linted = sound.map((file) => {
        const others = tests.flatMap(({ parsed }) => (parsed.ok && parsed.flow === file.flow ? parsed.tests : []));
        return { ...file, tests: [...file.flow.tests, ...others] };
      });
      const findings = analysed(() => lintFlows(linted, people, new Date().toISOString()));
      const errors = findings.filter(({ severity }) => severity === 'error').length;
      if (errors > 0) process.exitCode = exitCodes.checkFailed.code;
      if (options.sarif !== undefined) {
        const rules = Object.entries(lintRules).map(([id, description]) => ({ id, description }));
        await writeSarif(
          options.sarif,
          findings.map((finding) => ({ ...finding, ruleId: finding.rule })),
          rules,
        );
      }
      if (options.json) return printJson({ ok: errors === 0, findings });
      const sources = new Map(sound.map(({ file, source }) => [file, source]));
      const verdict =
        findings.length === 0 ? coloured('green', 'Clean') : coloured(errors > 0 ? 'red' : 'yellow', 'Found');
      const warnings = findings.length - errors;
      printLine(
        `${verdict}: ${counted(errors, 'error')} and ${counted(warnings, 'warning')} in ${counted(sound.length, 'flow')}.`,
      );
      for (const finding of findings) printLine(`\n${printableFinding(finding, sources.get(finding.file))}`);
      if (findings.length > 0) printLine('\nAn error is never meant; a warning wants a look.');
    });
}

const directory = z.object({
  people: z
    .array(z.object({ id: z.string(), groups: z.array(z.string()).default([]), active: z.boolean().default(true) }))
    .min(1),
});

/** @throws CommandFailed (usage) when the file cannot be read or names nobody: an empty directory would be a mistake, not a fact */
async function readPeople(file: string): Promise<readonly Approver[]> {
  try {
    return directory.parse(parse(await readFile(file, 'utf8'))).people;
  } catch (cause) {
    const message = `${file} does not hold people. Name a YAML file with a list of {id, groups} under "people".`;
    throw new CommandFailed('usage', message, { cause });
  }
}
