import { createSecretKey } from 'node:crypto';
import { expect, test } from 'vitest';
import { controlsOf } from '../../../domain/evidence/controls.ts';
import {
  type EvidenceDraft,
  EvidenceDraftInvalid,
  entryBody,
  evidenceEntrySchema,
} from '../../../domain/evidence/entry.ts';
import { pseudonym } from '../../../domain/evidence/pseudonym.ts';

const place = { installation: 'tenure.example/log', position: 3, personKey: createSecretKey(Buffer.alloc(32, 7)) };
const draft: EvidenceDraft = {
  chain: 'request/r1',
  kind: 'decision.recorded',
  actor: 'alice@example.test',
  requestId: 'r1',
  at: new Date('2026-11-22T10:00:00Z'),
  data: { verdict: 'approve', revision: 1 },
};

test('an entry is exactly these bytes: a format that is signed does not drift', () => {
  const actor = pseudonym(place.personKey, 'alice@example.test');
  expect(entryBody(draft, place)).toBe(
    `{"actor":"${actor}","at":"2026-11-22T10:00:00.000Z","chain":"request/r1",` +
      '"controls":["NIST-CSF:PR.AC-4","NIST-SP-800-207","OWASP-NHI5:2025"],"data":{"revision":1,"verdict":"approve"},' +
      '"installation":"tenure.example/log","kind":"decision.recorded","position":3,"requestId":"r1","version":1}',
  );
});

test('what is written reads back by the published schema', () => {
  expect(evidenceEntrySchema.parse(JSON.parse(entryBody({ ...draft, identityId: 'i1' }, place)))).toMatchObject({
    identityId: 'i1',
  });
});

test.for<[string, Partial<EvidenceDraft>]>([
  ['without a chain', { chain: '' }],
  ['without an actor', { actor: '' }],
  ['with a kind that is no kind', { kind: 'Something happened' }],
  ['with an impossible time', { at: new Date(Number.NaN) }],
])('a draft %s is refused', ([, fault]) => {
  expect(() => entryBody({ ...draft, ...fault }, place)).toThrow(EvidenceDraftInvalid);
});

test('every subject that evidence speaks of names its controls', () => {
  for (const subject of [
    'identity',
    'credential',
    'secret',
    'request',
    'decision',
    'freeze',
    'acknowledgement',
    'flow',
    'installation',
  ]) {
    expect(controlsOf(`${subject}.anything`), subject).not.toEqual([]);
  }
  expect(controlsOf('credential.destroyed')).toContain('OWASP-NHI1:2025');
  expect(controlsOf('weather.changed')).toEqual([]);
});
