import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Flow } from '../../../domain/flow/language.ts';
import { selectFlow } from '../../../domain/flow/select.ts';
import { exampleFacts } from './exampleFacts.ts';

const fits = 'subject.environment == "production"';
const fitsNot = 'subject.environment == "staging"';
const errs = 'subject.labels.absent == "x"';

function version(
  name: string,
  subject: Flow['subject'],
  on: Flow['on'] = 'onboarding',
): { flow: Flow; digest: string } {
  const flow: Flow = {
    apiVersion: 'tenure/v1',
    kind: 'Flow',
    metadata: { name, owner: 'security', description: 'for a test' },
    on,
    subject,
    limits: { credentialTtl: 'P90D', requestTtl: 'P3D', grace: 'PT24H' },
    stages: [{ id: 'issue', effect: 'issue' }],
    tests: [],
  };
  return { flow, digest: name };
}

const neither = version('neither', {});
const byKind = version('by-kind', { kind: 'service-account' });
const byWhere = version('by-where', { where: fits });
const byBoth = version('by-both', { kind: 'service-account', where: fits });

test('of the flows that cover a request the most specific one governs it, in whatever order they are', () => {
  const specific = [byBoth, byWhere, byKind, neither];
  fc.assert(
    fc.property(fc.shuffledSubarray(specific, { minLength: 1 }), (versions) => {
      const expected = specific.find((candidate) => versions.includes(candidate));
      expect(selectFlow(versions, exampleFacts)).toEqual({ found: expected });
    }),
  );
});

test('a flow on another kind of request, another kind of identity or another environment governs nothing here', () => {
  const others = [
    version('a', {}, 'rotation'),
    version('b', { kind: 'agent', where: fits }),
    version('c', { where: fitsNot }),
  ];
  expect(selectFlow(others, exampleFacts)).toMatchObject({
    none: 'no-flow',
    detail: expect.stringContaining('payments-reader'),
  });
  expect(selectFlow([], exampleFacts)).toMatchObject({ none: 'no-flow' });
  expect(selectFlow([...others, neither], exampleFacts)).toEqual({ found: neither });
});

test('what lets an agent in, or a key that acts as one, is governed only by a flow that names agents', () => {
  const agent = { ...exampleFacts, subject: { ...exampleFacts.subject, kind: 'agent' as const } };
  const of = (kind: 'onboarding' | 'rotation' | 'revocation') => ({ ...agent, request: { ...agent.request, kind } });
  for (const on of ['onboarding', 'rotation'] as const) {
    const broad = [version('neither', {}, on), version('by-where', { where: fits }, on)];
    const named = version('agents', { kind: 'agent' }, on);
    // A flow whose guard cannot be told is not asked either.
    const unsure = version('unsure', { where: errs }, on);
    expect(selectFlow([...broad, unsure], of(on))).toMatchObject({
      none: 'no-flow',
      detail: expect.stringContaining('Only one with "subject: {kind: agent}" covers agents'),
    });
    expect(selectFlow([...broad, unsure, named], of(on))).toEqual({ found: named });
  }
  const revocation = version('neither', {}, 'revocation');
  expect(selectFlow([revocation], of('revocation'))).toEqual({ found: revocation });
});

test('two flows that fit equally well govern nothing, and both are named', () => {
  const twin = version('another', { where: 'subject.kind == "service-account"' });
  expect(selectFlow([neither, byWhere, twin], exampleFacts)).toEqual({ ambiguous: ['another', 'by-where'] });
  expect(selectFlow([byWhere, twin, byBoth], exampleFacts)).toEqual({ found: byBoth });
});

test('where a guard cannot be evaluated no flow is found, also when others fit: it may have been the stricter one', () => {
  const unsure = version('unsure', { kind: 'service-account', where: errs });
  for (const versions of [[unsure], [neither, unsure], [unsure, byBoth], [byBoth, unsure]]) {
    expect(selectFlow(versions, exampleFacts)).toMatchObject({
      none: 'guard-error',
      detail: expect.stringContaining('unsure'),
    });
  }
});

test('a guard of a flow for other kinds of identity is not asked, so its error stops nothing', () => {
  expect(selectFlow([version('agents', { kind: 'agent', where: errs }), neither], exampleFacts)).toEqual({
    found: neither,
  });
});
