import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FaultResult } from './run.ts';
import type { SeedResult } from './seed.ts';

/** `node test/faults/record.ts RESULT.json …`: writes what runs found into docs/faults.md, in place of what stood there. */

const page = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));
const [begin, end] = ['<!-- recorded -->', '<!-- /recorded -->'];

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('Name the files that `npm run test:faults -- --json FILE` wrote.');
  process.exit(2);
}
const runs = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as FaultResult);
const text = readFileSync(page, 'utf8');
const [before, after] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || after < before) throw new Error(`${page} has no place for it: ${begin} … ${end}`);
writeFileSync(page, `${text.slice(0, before + begin.length)}\n\n${section(runs)}\n\n${text.slice(after)}`);

function section(recorded: readonly FaultResult[]): string {
  const seeds = recorded.flatMap((run) => run.seeds);
  const passed = seeds.filter((seed) => seed.passed).length;
  const counts = total(seeds);
  const tookSeconds = seeds.map(({ tookMs }) => Math.round(tookMs / 1000)).sort((one, other) => one - other);
  const failed = seeds.filter((seed) => !seed.passed);
  const rows = [
    ['seeds', `${seeds.length}, of which ${passed} passed`],
    ['commands', commandsOf(recorded).join('<br>')],
    ['commit', [...new Set(recorded.map(({ commit }) => commit))].join(', ')],
    ['begun', spanOf(recorded.map(({ beganAt }) => beganAt.slice(0, 16).replace('T', ' ')).sort())],
    ['requests opened', listed(counts, / opened$/)],
    [
      'how requests ended',
      listed(counts, /^(onboarding|rotation|revocation|review|step-up) (completed|denied|cancelled)$/),
    ],
    ['decisions, commands', listed(counts, /^(decision: \w+|pause|resume|cancel|rollback|acknowledgement)$/)],
    ['incidents', listed(counts, /^(freeze \w+|lift|mass revocation( \w+)?)$/)],
    ['killed and stopped', listed(counts, /^fault: (kill|stop|zombie)/)],
    ['links broken', listed(counts, /^fault: (cut|reset|blackhole|delay|throttle)/)],
    ['logins by consumers', listed(counts, /^logins /)],
    ['calls without an answer', listed(counts, /^calls /)],
    ['seconds a seed', `${tookSeconds[Math.floor(tookSeconds.length / 2)]} (median), ${tookSeconds.at(-1)} (longest)`],
  ];
  const table = ['| what | how much |', '|---|---|', ...rows.map(([what, much]) => `| ${what} | ${much} |`)];
  const failures = failed.map(({ seed, violations }) => `- seed ${seed}: ${violations.join('; ')}`);
  return [...table, ...(failures.length === 0 ? [] : ['', 'Failed:', '', ...failures])].join('\n');
}

/** Runs that differ in their first seed alone are told in one line. */
function commandsOf(recorded: readonly FaultResult[]): readonly string[] {
  const alike = Map.groupBy(recorded, ({ command }) => command.replace(/--first-seed \d+/, '--first-seed K'));
  return [...alike].map(([command, runs]) => {
    const [only, ...others] = runs;
    if (only !== undefined && others.length === 0) return `\`${only.command}\``;
    const firsts = runs.map((run) => /--first-seed (\d+)/.exec(run.command)?.[1]);
    return `\`${command}\`, K = ${firsts.join(', ')}`;
  });
}

function spanOf(instants: readonly string[]): string {
  return [...new Set([instants[0], instants.at(-1)])].join(' to ');
}

function total(seeds: readonly SeedResult[]): Readonly<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const { counts } of seeds)
    for (const [what, times] of Object.entries(counts)) sum[what] = (sum[what] ?? 0) + times;
  return sum;
}

function listed(counts: Readonly<Record<string, number>>, which: RegExp): string {
  const found = Object.entries(counts).filter(([what]) => which.test(what));
  found.sort(([one], [other]) => (one < other ? -1 : 1));
  return found.map(([what, times]) => `${what.replace(/^fault: | opened$/g, '')} ${times}`).join(', ') || 'none';
}
