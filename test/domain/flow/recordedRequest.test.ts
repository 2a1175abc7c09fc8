import { expect, test } from 'vitest';
import { parseRecords } from '../../../domain/flow/recordedRequest.ts';
import { approvedBy, atHour, recordOf } from './recordedRequests.ts';

const sound = recordOf('r1', [approvedBy('sam', 1)], { ended: { state: 'completed' } });

function mistakesOf(...lines: readonly (string | object)[]) {
  const parsed = parseRecords(lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return parsed.ok ? [] : parsed.mistakes;
}

test('what was written is what is read, empty lines aside', () => {
  const source = `${JSON.stringify(sound)}\n\n${JSON.stringify({ ...sound, id: 'r2' })}\n`;
  expect(parseRecords(source)).toEqual({ ok: true, requests: [sound, { ...sound, id: 'r2' }] });
});

test.each<[string, object | string, RegExp]>([
  ['no JSON', '{"version":', /not JSON/],
  ['no object', '[]', /expected object/],
  ['another version of the format', { ...sound, version: 2 }, /version 2 of the format; this release reads 1/],
  ['an unknown key', { ...sound, extra: true }, /there is no 'extra' here/],
  ['an unknown fact', { ...sound, facts: { ...sound.facts, secret: 'x' } }, /facts: there is no 'secret' here/],
  ['a missing fact', { ...sound, facts: { ...sound.facts, owner: undefined } }, /^facts\.owner: /],
  ['a fact of another type', { ...sound, facts: { ...sound.facts, risk: { score: 'high' } } }, /^facts\.risk\.score: /],
  ['an unknown event', { ...sound, events: [{ at: atHour(1), approve: 'sam' }] }, /^events\.0: is none of decision/],
  ['an instant without offset', { ...sound, until: '2026-01-01T00:00:00' }, /^until: must be an RFC 3339 instant/],
  [
    'events out of order',
    { ...sound, events: [approvedBy('sam', 2), approvedBy('sue', 1)] },
    /order of their instants/,
  ],
  ['a state that is none', { ...sound, ended: { state: 'done' } }, /^ended\.state: /],
  ['a line of two megabytes', `{"version":1,"id":"${'a'.repeat(2_000_000)}"}`, /more than 1000000/],
])('%s is refused at its line', (_what, line, reason) => {
  expect(mistakesOf(sound, line)).toContainEqual({ line: 2, reason: expect.stringMatching(reason) });
});

test('all mistakes are told, up to fifty', () => {
  expect(mistakesOf('x', sound, 'y')).toMatchObject([{ line: 1 }, { line: 3 }]);
  expect(mistakesOf(...new Array<string>(80).fill('x'))).toHaveLength(50);
});

test('keys of prototypes stay keys, and pollute nothing', () => {
  mistakesOf(JSON.stringify(sound).replace('"version":1', '"version":1,"__proto__":{"polluted":true}'));
  expect(Reflect.get({}, 'polluted')).toBeUndefined();
});

test('a proof is written with the person and the instant of the sign-in, and is read as it was written', () => {
  const by = { id: 'ola', active: true, groups: [] };
  const record = recordOf('p', [{ at: atHour(1), confirm: by, authenticatedAt: atHour(0) }]);
  expect(parseRecords(JSON.stringify(record))).toEqual({ ok: true, requests: [record] });
  const without = { ...record, events: [{ at: atHour(1), confirm: by }] };
  expect(parseRecords(JSON.stringify(without))).toMatchObject({ ok: false });
});
