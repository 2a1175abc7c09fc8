import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { flowDigest } from '../../../domain/flow/digest.ts';
import type { Flow } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { flowWith, soundFlow } from './flowSource.ts';

function digestOf(source: string): string {
  const parsed = parseFlow(source, 'f');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ reason }) => reason).join('; '));
  expect(flowDigest(parsed.flow)).toBe(parsed.digest);
  return parsed.digest;
}

test('layout, comments, key order and quoting do not change the digest', () => {
  const reordered = flowWith(
    'apiVersion: tenure/v1\nkind: Flow\n',
    '# reviewed\nkind: "Flow"\n\napiVersion: tenure/v1\n',
  );
  expect(digestOf(reordered)).toBe(digestOf(soundFlow));
});

test('a default that is written out has the digest of one that is left out', () => {
  const written = flowWith('requestTtl: P3D', 'requestTtl: P3D, grace: PT24H').replace(
    '      separation',
    '      proof: session\n      separation',
  );
  expect(digestOf(written)).toBe(digestOf(soundFlow));
});

test.each([
  ['the number of approvers', 'count: 2', 'count: 1'],
  ['a guard', 'risk.score > 10', 'risk.score > 11'],
  ['white space in a guard', 'risk.score > 10', 'risk.score >10'],
  ['a separation', '[requester, owner]', '[requester]'],
  ['the order of stages', '  - {id: tell, notify: {to: [owner, requester]}}\n', ''],
  ['a test', 'score: 50', 'score: 51'],
  ['the description', 'sound in every part', 'sound'],
])('%s changes the digest', (_what, part, replacement) => {
  expect(digestOf(flowWith(part, replacement))).not.toBe(digestOf(soundFlow));
});

test('the digest is SHA-256 over the RFC 8785 form, which anybody can compute', () => {
  const flow: Flow = {
    tests: [],
    stages: [{ id: 'revoke', effect: 'revoke' }],
    limits: { requestTtl: 'P3D', grace: 'PT24H', credentialTtl: 'P90D' },
    subject: {},
    on: 'revocation',
    metadata: { name: 'r', owner: 's', description: 'é' },
    kind: 'Flow',
    apiVersion: 'tenure/v1',
  };
  const canonical =
    '{"apiVersion":"tenure/v1","kind":"Flow","limits":{"credentialTtl":"P90D","grace":"PT24H","requestTtl":"P3D"},' +
    '"metadata":{"description":"é","name":"r","owner":"s"},"on":"revocation","stages":[{"effect":"revoke","id":"revoke"}],"subject":{},"tests":[]}';
  expect(flowDigest(flow)).toBe(createHash('sha256').update(canonical, 'utf8').digest('hex'));
});

test('an undefined field is refused instead of vanishing from what is signed for', () => {
  const parsed = parseFlow(soundFlow, 'f');
  if (!parsed.ok) throw new Error('the sound flow does not parse');
  const holed: unknown = { ...parsed.flow, subject: { where: undefined } };
  expect(() => flowDigest(holed as Flow)).toThrow('flow.subject.where is undefined');
});
