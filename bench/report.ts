import { cpus, totalmem } from 'node:os';
import Table from 'cli-table3';
import { type Finding, figure, isMet, missedBy, rounded } from './finding.ts';

export interface MeasuredRow {
  readonly name: string;
  readonly findings: readonly Finding[];
  /** Why it could not be measured, instead. */
  readonly error?: string;
}

export interface Report {
  /** The command that made it. */
  readonly command: string;
  readonly measuredAt: string;
  readonly machine: string;
  readonly temporal: string;
  readonly rows: readonly MeasuredRow[];
}

export function describeMachine(): string {
  const { length } = cpus();
  return `${length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

const columns = ['what', 'budget', 'measured', 'spread', 'subject', 'baseline', ''] as const;

export function asTable({ rows }: Report): string {
  const table = new Table({
    head: [...columns],
    style: { head: [], border: [] },
    colWidths: [40, 12, 13, 20, 13, 32, 9],
    wordWrap: true,
  });
  table.push(...linesOf(rows));
  const notes = notesOf(rows);
  return [table.toString(), ...notes].join('\n');
}

/** A section of docs/performance.md, whole. */
export function asMarkdown(report: Report): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [
    `\`${report.command}\`, ${report.measuredAt.slice(0, 10)}. ${report.machine}. ${report.temporal}.`,
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...linesOf(report.rows).map(line),
    '',
    ...notesOf(report.rows).flatMap((note) => [note, '']),
    conclusion(report),
    '',
  ].join('\n');
}

/**
 * Puts the section where the document has the comments `<!-- bench:<temporal> -->` and `<!-- /bench:<temporal> -->`; of a
 * document without them only the section is left. What is between other such comments stays.
 */
export function placed(document: string, section: string, temporal: string): string {
  const [opening, closing] = [`<!-- bench:${temporal} -->`, `<!-- /bench:${temporal} -->`];
  const [from, to] = [document.indexOf(opening), document.indexOf(closing)];
  if (from < 0 || to < from) return section;
  return `${document.slice(0, from + opening.length)}\n${section}${document.slice(to)}`;
}

/** The last line: which budgets are met, and by how much the others are missed. */
export function conclusion({ rows }: Report): string {
  const judged = rows.flatMap(({ findings }) => findings).filter((finding) => finding.budget !== undefined);
  const missed = judged.filter((finding) => isMet(finding) === false);
  const failed = rows.filter(({ error }) => error !== undefined).map(({ name }) => name);
  const misses = missed.map(({ budget, ...finding }) =>
    budget === undefined
      ? finding.what
      : `${finding.what} ${figure(finding.value, finding.unit)} (${budget.is} ${figure(budget.value, finding.unit)}, missed by ${missedBy({ ...finding, budget })})`,
  );
  return [
    `${judged.length - missed.length} of ${judged.length} budgets are met`,
    ...(misses.length === 0 ? [] : [`missed: ${misses.join('; ')}`]),
    ...(failed.length === 0 ? [] : [`not measured: ${failed.join(', ')}`]),
  ].join('; ');
}

function linesOf(rows: readonly MeasuredRow[]): string[][] {
  return rows.flatMap(({ name, findings, error }) =>
    error === undefined ? findings.map(lineOf) : [[name, '', 'not measured', '', '', firstLineOf(error), 'failed']],
  );
}

/** The rest was said when it happened. */
function firstLineOf(error: string): string {
  return error.split('\n', 1)[0]?.slice(0, 160) ?? '';
}

function lineOf(finding: Finding): string[] {
  const { what, value, unit, budget, subject, baseline, spread } = finding;
  const met = isMet(finding);
  return [
    what,
    budget === undefined ? 'none' : `${budget.is === 'at least' ? '≥' : '≤'} ${figure(budget.value, unit)}`,
    figure(value, unit),
    spread === undefined ? 'exact' : `${rounded(spread.lowest)} to ${rounded(spread.highest)} in ${spread.rounds}`,
    subject,
    baseline,
    met === undefined ? '' : met ? 'met' : 'missed',
  ];
}

function notesOf(rows: readonly MeasuredRow[]): string[] {
  return rows.flatMap(({ findings }) =>
    findings.flatMap(({ what, note }) => (note === undefined ? [] : [`${what}: ${note}.`])),
  );
}
