import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ownGround, type TemporalKind } from './ground.ts';
import { asMarkdown, asTable, conclusion, describeMachine, type MeasuredRow, placed, type Report } from './report.ts';
import type { Row, RowOptions } from './row.ts';
import { rows, rowsNamed } from './rows.ts';

/**
 * `npm run bench -- [row or group …] [--temporal development|postgres] [--subjects N] [--json FILE] [--markdown FILE]`
 *
 * Ends with 0 when everything was measured, whether budgets are met or not; with 1 when a row could not be; with 2 for a
 * command line that it does not understand.
 */

const temporals: Readonly<Record<TemporalKind, string>> = {
  development: "Temporal's development server on SQLite in a file",
  postgres: 'Temporal 1.32.1, four services in one process, on the same PostgreSQL',
};

const startedAt = performance.now();
process.exitCode = await bench(process.argv.slice(2));

async function bench(args: readonly string[]): Promise<number> {
  const asked = understood(args);
  if (typeof asked === 'string') {
    console.error(asked);
    return 2;
  }
  const ground = ownGround({ temporal: asked.temporal, say });
  // Temporal's runtime takes these signals to stop its workers, after which rows would wait for ever.
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const])
    process.once(signal, () => void ground.stop().finally(() => process.exit(code)));
  const measured: MeasuredRow[] = [];
  try {
    for (const row of asked.rows) {
      say(`${row.name} …`);
      measured.push(await measure(row, () => row.run(ground, 'full', asked.options)));
    }
  } finally {
    await ground.stop();
  }
  const report: Report = {
    command: ['npm run bench', ...(args.length === 0 ? [] : ['--', ...commandOf(asked)])].join(' '),
    measuredAt: new Date().toISOString(),
    machine: describeMachine(),
    temporal: temporals[asked.temporal],
    rows: measured,
  };
  if (asked.json !== undefined) writeFileSync(asked.json, `${JSON.stringify(report, null, 2)}\n`);
  if (asked.markdown !== undefined) {
    const document = existsSync(asked.markdown) ? readFileSync(asked.markdown, 'utf8') : '';
    writeFileSync(asked.markdown, placed(document, asMarkdown(report), asked.temporal));
  }
  console.log(asTable(report));
  console.log(conclusion(report));
  return measured.some(({ error }) => error !== undefined) ? 1 : 0;
}

/** A row that fails does not take the others' figures with it. */
async function measure({ name }: Row, run: () => ReturnType<Row['run']>): Promise<MeasuredRow> {
  try {
    return { name, findings: await run() };
  } catch (error) {
    say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return { name, findings: [], error: error instanceof Error ? error.message : String(error) };
  }
}

interface Asked {
  readonly options: RowOptions;
  readonly rows: readonly Row[];
  readonly named: readonly string[];
  readonly temporal: TemporalKind;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
}

/** @returns what was asked for, or what is wrong with it */
function understood(args: readonly string[]): Asked | string {
  try {
    const { positionals: named, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        temporal: { type: 'string', default: 'development' },
        subjects: { type: 'string' },
        json: { type: 'string' },
        markdown: { type: 'string' },
      },
    });
    const { temporal, subjects, json, markdown } = values;
    if (subjects !== undefined && !/^[1-9]\d*0$/.test(subjects))
      return `--subjects is a multiple of ten, not ${subjects}.`;
    if (temporal !== 'development' && temporal !== 'postgres')
      return `--temporal is development or postgres, not ${temporal}.`;
    const asked = rowsNamed(named);
    if ('unknown' in asked)
      return `There is no row ${asked.unknown}. Rows: ${rows.map(({ name }) => name).join(', ')}; flows for those about flows, step-up for those about step-ups.`;
    // On another server only what depends on it is worth repeating.
    const isRepeated = temporal === 'postgres' && named.length === 0;
    const chosen = isRepeated ? asked.chosen.filter(({ dependsOnServer }) => dependsOnServer) : asked.chosen;
    const options = subjects === undefined ? {} : { subjects: Number(subjects) };
    return { rows: chosen, named, temporal, options, json, markdown };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Without the files that it was told to write. */
function commandOf({ named, temporal, options: { subjects } }: Asked): string[] {
  const many = subjects === undefined ? [] : ['--subjects', String(subjects)];
  return [...named, ...(temporal === 'development' ? [] : ['--temporal', temporal]), ...many];
}

/** To standard error, so that standard output is the table alone. */
function say(text: string): void {
  console.error(`${String(Math.round((performance.now() - startedAt) / 1000)).padStart(4)} s  ${text}`);
}
