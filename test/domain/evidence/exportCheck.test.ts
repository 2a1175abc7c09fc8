import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Checkpoint } from '../../../domain/evidence/checkpoint.ts';
import { entryBody } from '../../../domain/evidence/entry.ts';
import { ExportCheck, type ExportReport } from '../../../domain/evidence/exportCheck.ts';
import { GrowingTree, leafHash } from '../../../domain/evidence/merkleTree.ts';

const origin = 'tenure.example/log';
const personKey = createSecretKey(Buffer.alloc(32, 7));
const at = new Date('2026-11-22T10:00:00Z');

const logs = fc
  .array(fc.constantFrom('request/a', 'request/b', 'identity/c'), { minLength: 3, maxLength: 20 })
  .map((chains) => {
    const next = new Map<string, number>();
    return chains.map((chain, serial) => {
      const position = next.get(chain) ?? 0;
      next.set(chain, position + 1);
      const draft = { chain, kind: 'request.opened', actor: 'system:test', at, data: { serial } };
      return entryBody(draft, { installation: origin, position, personKey });
    });
  });

test('an export as it was sealed is found right, also against every checkpoint held before', () => {
  fc.assert(
    fc.property(logs, fc.nat(), (log, seed) => {
      expect(check(log, headOf(log)).problems).toEqual([]);
      const heldSize = seed % (log.length + 1);
      expect(check(log, headOf(log), headOf(log.slice(0, heldSize)))).toMatchObject({ ok: true, heldSize });
    }),
  );
});

test('one flipped bit, a line left out, doubled, added, swapped, or the end cut off: each is found', () => {
  fc.assert(
    fc.property(logs, fc.nat(), fc.nat(), (log, seed, bit) => {
      const head = headOf(log);
      const place = seed % log.length;
      const other = (place + 1) % log.length;
      const line = log[place] ?? '';
      expect(codes(check(log.toSpliced(place, 1), head))).toContain('entries-missing');
      expect(codes(check(log.toSpliced(place, 0, line), head))).toContain('entries-extra');
      expect(codes(check([...log, line], head))).toEqual(expect.arrayContaining(['entries-extra']));
      expect(codes(check(log.with(place, log[other] ?? '').with(other, line), head))).toContain('root-differs');
      expect(codes(check(log.slice(0, place), head))).toContain('entries-missing');
      const bytes = Buffer.from(line);
      bytes[bit % bytes.length] = (bytes[bit % bytes.length] ?? 0) ^ (1 << (bit % 8));
      expect(codes(check([...log.slice(0, place), bytes, ...log.slice(place + 1)], head))).toContain('root-differs');
    }),
  );
});

test('a log rewritten or cut back and signed anew is found by the checkpoint held elsewhere', () => {
  fc.assert(
    fc.property(logs, fc.nat(), (log, seed) => {
      const held = headOf(log.slice(0, log.length - 1));
      const place = seed % (log.length - 1);
      const rewritten = log.with(place, (log[place] ?? '').replace('"serial":', '"serial":1'));
      expect(codes(check(rewritten, headOf(rewritten), held))).toEqual(['held-root-differs']);
      const cut = log.slice(0, place);
      expect(codes(check(cut, headOf(cut), held))).toEqual(['held-is-newer']);
    }),
  );
});

test('the line at fault is named where the line itself shows it', () => {
  const log = [0, 1, 2].map((position) =>
    entryBody(
      { chain: 'request/a', kind: 'request.opened', actor: 'system:test', at, data: {} },
      { installation: origin, position, personKey },
    ),
  );
  const [first = '', second = '', third = ''] = log;
  const problem = (lines: readonly (string | Buffer)[]) => check(lines, headOf(log)).problems[0];
  expect(problem([first, `${second} `, third])).toMatchObject({ code: 'not-canonical', line: 2 });
  expect(problem([first, second.slice(1), third])).toMatchObject({ code: 'not-an-entry', line: 2 });
  expect(problem([first, Buffer.from([0xff]), third])).toMatchObject({ code: 'not-an-entry', line: 2 });
  expect(problem([first, '{}', third])).toMatchObject({ code: 'not-an-entry', line: 2 });
  expect(problem([first, third])).toMatchObject({
    code: 'chain-broken',
    line: 2,
    message: expect.stringContaining('position 2 where 1 must follow'),
  });
  expect(problem([first, second, third.replace(origin, 'other.example')])).toMatchObject({
    code: 'other-installation',
    line: 3,
  });
});

test('a wholly broken file is told in a few lines, not in one per line', () => {
  const lines = Array.from({ length: 1000 }, () => 'not an entry');
  expect(check(lines, headOf(lines)).problems).toHaveLength(10);
});

function headOf(log: readonly string[]): Checkpoint {
  const tree = new GrowingTree();
  for (const line of log) tree.append(leafHash(line));
  return { origin, size: tree.size, root: tree.root };
}

function check(lines: readonly (string | Buffer)[], checkpoint: Checkpoint, held?: Checkpoint): ExportReport {
  const exportCheck = new ExportCheck(checkpoint, held);
  for (const line of lines) exportCheck.line(Buffer.from(line));
  return exportCheck.finish();
}

function codes(report: ExportReport): string[] {
  expect(report.ok).toBe(report.problems.length === 0);
  return report.problems.map(({ code }) => code);
}
