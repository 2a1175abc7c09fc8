import { expect, test } from 'vitest';
import type { Finding } from '../../bench/finding.ts';
import { asMarkdown, asTable, conclusion, placed, type Report } from '../../bench/report.ts';
import { compared, quantile } from '../../bench/rounds.ts';

const finding = (change: Partial<Finding>): Finding => ({
  what: 'a throughput',
  value: 0.95,
  unit: '×',
  budget: { is: 'at least', value: 0.9 },
  subject: '19/s',
  baseline: '20/s',
  spread: { lowest: 0.91, highest: 0.98, rounds: 5 },
  ...change,
});

const { budget: _, ...unbudgeted } = finding({ what: 'told only' });

const report = (findings: readonly Finding[], error?: string): Report => ({
  command: 'npm run bench',
  measuredAt: '2026-11-22T05:00:00.000Z',
  machine: 'a machine',
  temporal: 'a server',
  rows: [{ name: 'row', findings }, ...(error === undefined ? [] : [{ name: 'broken', findings: [], error }])],
});

test('the last line counts the budgets that are met, and nothing that has none', () => {
  expect(conclusion(report([finding({}), unbudgeted]))).toBe('1 of 1 budgets are met');
});

test('the last line says of each budget that is missed by how much, in either direction', () => {
  const slow = finding({ value: 0.45 });
  const long = finding({ what: 'a latency', value: 2.3, budget: { is: 'at most', value: 1.15 } });
  expect(conclusion(report([slow, long]))).toBe(
    '0 of 2 budgets are met; missed: a throughput 0.450 × (at least 0.900 ×, missed by 50 %); a latency 2.30 × (at most 1.15 ×, missed by 100 %)',
  );
});

test('a row that could not be measured is named in the last line and in the table, with the first line of why', () => {
  const broken = report([finding({})], 'the server ended\nits last lines');
  expect(conclusion(broken)).toContain('not measured: broken');
  expect(asTable(broken)).toContain('the server ended');
  expect(asMarkdown(broken)).not.toContain('its last lines');
});

test('the Markdown is a table that names the command, the machine and every spread', () => {
  const text = asMarkdown(report([finding({})]));
  expect(text).toContain('`npm run bench`, 2026-11-22. a machine. a server.');
  expect(text).toContain('| a throughput | ≥ 0.900 × | 0.950 × | 0.910 to 0.980 in 5 | 19/s | 20/s | met |');
});

test('a comparison is the median of the ratios of its rounds, not the ratio of the medians', () => {
  const pairs = [
    { subject: { ms: 2 }, baseline: { ms: 1 } },
    { subject: { ms: 30 }, baseline: { ms: 10 } },
    { subject: { ms: 4 }, baseline: { ms: 4 } },
  ];
  expect(compared(pairs, 'ms')).toEqual({
    ratio: 2,
    spread: { lowest: 1, highest: 3, rounds: 3 },
    subject: 4,
    baseline: 4,
  });
});

test('a quantile is one of the values, by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  expect(quantile(values, 0.5)).toBe(50);
  expect(quantile(values, 0.99)).toBe(99);
  expect(quantile([7], 0.99)).toBe(7);
  expect(() => quantile([], 0.5)).toThrow(RangeError);
});

test('a section takes the place of its predecessor in a document, and of nothing else', () => {
  const document = 'before\n<!-- bench:a -->\nold\n<!-- /bench:a -->\n<!-- bench:b -->\nother\n<!-- /bench:b -->\n';
  expect(placed(document, 'new\n', 'a')).toBe(document.replace('old', 'new'));
  expect(placed('no place for it', 'new\n', 'a')).toBe('new\n');
});
