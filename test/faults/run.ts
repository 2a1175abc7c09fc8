import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheDirectory } from '../../embedded/cacheDirectory.ts';
import { workflowBundle } from '../../worker/bundle.ts';
import { runSeed, type SeedResult, type SeedRun } from './seed.ts';
import { startServers } from './servers.ts';

/**
 * `npm run test:faults -- --seeds N --first-seed K --json FILE --keep`: runs seeds, tells each, exits with 1 when one fails.
 * With `--keep` the directories of seeds that passed are kept too.
 */

export interface FaultResult {
  readonly command: string;
  readonly commit: string;
  readonly beganAt: string;
  readonly seeds: readonly SeedResult[];
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    'first-seed': { type: 'string', default: '1' },
    json: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const count = wholeNumber('seeds', values.seeds);
const first = wholeNumber('first-seed', values['first-seed']);
const say = (text: string) => console.log(text);

const result = {
  command: `npm run test:faults -- --seeds ${count} --first-seed ${first}`,
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  beganAt: new Date().toISOString(),
  seeds: [] as SeedResult[],
} satisfies FaultResult;

// Bundled here, and compiled once, so that the processes of a seed start quickly.
await workflowBundle();
process.env['NODE_COMPILE_CACHE'] ??= join(cacheDirectory(), 'node-compile-cache');
const servers = await startServers(say);
try {
  for (let seed = first; seed < first + count; seed += 1) {
    const run = await runSeed(servers, seed, { keep: values.keep });
    result.seeds.push(run.result);
    tell(run);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  }
} finally {
  await servers.stop();
}
const failed = result.seeds.filter(({ passed }) => !passed).map(({ seed }) => seed);
say(
  failed.length === 0
    ? `All ${count} seeds passed.`
    : `${failed.length} of ${count} seeds failed: ${failed.join(', ')}. Run one again with --seeds 1 --first-seed <number>.`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

function tell({
  result: { seed, passed, violations, counts, tookMs, untilQuietMs },
  plan,
  lines,
  directory,
}: SeedRun): void {
  const named = (prefix: string) =>
    Object.entries(counts)
      .filter(([what]) => what.startsWith(prefix))
      .map(([what, times]) => `${what.slice(prefix.length)}${times > 1 ? ` ×${times}` : ''}`);
  const done = Object.entries(counts)
    .filter(([what]) => what.endsWith(' opened') || /^(freeze|mass revocation) \w+$/.test(what))
    .map(([what, times]) => `${what.replace(' opened', '')} ×${times}`);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  say(
    `seed ${seed}: ${passed ? 'passed' : 'FAILED'} in ${seconds(tookMs)} (quiet after ${seconds(untilQuietMs)}); ` +
      `${done.join(', ')}; ${named('fault: ').join(', ')}; ${counts['logins accepted'] ?? 0} logins`,
  );
  if (values.keep) say(`  kept in ${directory}`);
  if (passed) return;
  say(`\nThe plan of seed ${seed}:\n${JSON.stringify(plan, null, 2)}`);
  say(`\nWhat happened (seconds):\n${lines.join('\n')}`);
  say(`\nBroken promises:\n${violations.map((violation) => `- ${violation}`).join('\n')}`);
  say(`\nLogs, Temporal's database and the export are kept in ${directory}\n`);
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  console.error(`--${name} ${text}: write a whole number above 0.`);
  process.exit(2);
}
