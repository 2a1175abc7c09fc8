import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { sourceLimit } from '../../domain/flow/yamlPositions.ts';
import { type Answer, type ApiFixture, apiFixture } from '../api/apiFixture.ts';
import { flowWith, soundFlow } from '../domain/flow/flowSource.ts';

/**
 * Hostile flows sent to the API are refused with a clear problem, and it goes on answering. A hang fails by the test's time
 * limit; nothing is measured. That the reader itself withstands them is `hostileFlows.test.ts`.
 */

const limits = { perAddress: 10_000, perPrincipal: 10_000, analyses: 10_000 };
let api: ApiFixture;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file', limits });
});

const paths = ['/v1/flows/diff', '/v1/flows/simulate'] as const;
const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...[...'bcdefghi'].map((letter, index) => `${letter}: &${letter} [${`*${'abcdefghi'[index]}, `.repeat(9)}]`),
].join('\n');

const Invalid = z.object({
  mistakes: z.array(z.object({ line: z.int(), reason: z.string(), text: z.string() }).loose()),
});

function mistakesOf(answer: Answer) {
  expect([answer.status, answer.slug]).toEqual([422, 'flow-invalid']);
  // However much is wrong, what is said about it stays readable.
  expect(answer.text.length).toBeLessThan(200_000);
  return Invalid.parse(JSON.parse(answer.text)).mistakes;
}

test.each([
  ['a YAML bomb', bomb, 'aliases'],
  ['deep nesting', '['.repeat(10_000), 'nested more than 16 levels deep'],
  ['deep block lists', '- '.repeat(10_000), 'nested more than 16 levels deep'],
  ['duplicate keys', flowWith('count: 2', 'count: 2, count: 1'), "'count' is here twice"],
  ['the same key a thousand times', 'kind: Flow\n'.repeat(1_000), "'kind' is here twice"],
  [
    'a key of prototypes',
    flowWith('kind: Flow', 'kind: Flow\n__proto__: {polluted: true}'),
    "'__proto__' cannot be a key",
  ],
  ['a look-alike letter in a name', flowWith('name: sound', 'name: s\u043eund'), 'kebab-case'],
  ['a look-alike letter in a guard', flowWith('"production"', '"pr\u043eduction"'), 'ASCII'],
  ['a direction mark', soundFlow.replace('kind: Flow', 'kind: Flow # \u202e'), 'U+202E cannot be seen'],
  ['a second document', `${soundFlow}---\n${soundFlow}`, 'second document'],
  [
    'a regular expression that runs away',
    flowWith('owner.active', 'owner.id.matches("^(a+)+$")'),
    'not one of the functions',
  ],
  ['a language version of tomorrow', soundFlow.replace('tenure/v1', 'tenure/v9'), 'this release reads tenure/v1'],
])('%s is refused with its reason, as the new flow and as the old one', async (_what, source, reason) => {
  for (const path of paths)
    for (const body of [{ new: source }, { new: soundFlow, old: { source } }]) {
      const mistakes = mistakesOf(await api.as('auditor', path, { body }));
      expect(mistakes.map((mistake) => mistake.reason).join('\n')).toContain(reason);
    }
  expect(Reflect.get({}, 'polluted')).toBeUndefined();
  expect((await api.send(undefined, '/healthz')).status).toBe(200);
});

test.each([
  ['of ten megabytes', JSON.stringify({ new: 'a'.repeat(10_000_000) }), [413, 'too-large']],
  ['of ten megabytes that is no JSON', '['.repeat(10_000_000), [413, 'too-large']],
  ['of a million brackets', '['.repeat(1_000_000), [400, 'invalid-request']],
  ['of brackets that close', `{"new": ${'['.repeat(500_000)}${']'.repeat(500_000)}}`, [400, 'invalid-request']],
  [
    'with a flow larger than a flow may be',
    JSON.stringify({ new: 'a'.repeat(sourceLimit + 1) }),
    [400, 'invalid-request'],
  ],
  ['with a key of prototypes', `{"__proto__": {"new": "a"}}`, [400, 'invalid-request']],
  [
    'with a key of prototypes beside a flow',
    `{"new": ${JSON.stringify(soundFlow)}, "__proto__": {"old": {}}}`,
    [400, 'invalid-request'],
  ],
  ['with a list for a flow', '{"new": ["a"]}', [400, 'invalid-request']],
])('a body %s is refused, and the API still answers', async (_what, raw, [status, slug]) => {
  for (const path of paths) {
    const answer = await api.as('auditor', path, { raw });
    expect([answer.status, answer.slug]).toEqual([status, slug]);
    expect(answer.text.length).toBeLessThan(2_000);
  }
  expect((await api.send(undefined, '/healthz')).status).toBe(200);
});

test.each([
  '../rotation',
  '..%2frotation',
  'rotation%00',
  'ROTATION',
  'r\u043etation',
  '__proto__',
  'constructor',
  'a'.repeat(64),
  'a b',
])('the name %j is no flow, whatever it looks like', async (name) => {
  for (const part of ['', '/paths', '/paths.svg']) {
    const answer = await api.as('auditor', `/v1/flows/${encodeURI(name)}${part}`);
    expect([400, 404]).toContain(answer.status);
    expect(['invalid-request', 'not-found']).toContain(answer.slug);
  }
});

/** So many paths that nobody could review them. */
const manyPaths = flowWith(
  '  - id: review',
  `${Array.from({ length: 11 }, (_, index) => `  - {id: s${index}, when: 'has(subject.labels.l${index})', notify: {to: [owner]}}`).join('\n')}\n  - id: review`,
);

/** Guards that each depend on most of the others' facts: minutes of reasoning, in 10 KiB. */
const entangled = flowWith(
  '  - id: review',
  `${Array.from({ length: 20 }, (_, index) => `  - {id: s${index}, when: '${entangledGuard(index)}', notify: {to: [owner]}}`).join('\n')}\n  - id: review`,
);
function entangledGuard(index: number): string {
  return Array.from(
    { length: 6 },
    (_, term) =>
      `(subject.labels["a${(index * 3 + term) % 12}"] == "x${term}" || size(subject.scopes) > ${index + term} && risk.score != ${index * term})`,
  ).join(' != ');
}

test('a flow of more paths than anybody can review is refused by name, not cut short', async () => {
  const answer = await api.as('auditor', '/v1/flows/diff', { body: { new: manyPaths } });
  expect([answer.status, answer.slug]).toEqual([422, 'too-complex']);
  expect(answer.detail).toContain('flow sound');
});

test('one caller’s analyses take one thread, and what more of theirs waits takes nobody else’s place', async () => {
  const bounded = await apiFixture({
    limits,
    lanes: { analyses: { atOnce: 256, perKey: 1, waitingPerKey: 0 } },
    analystLimits: { threads: 2, waiting: 0, patienceMs: 6_000, heapMb: 512 },
    moreFlows: [soundFlow],
  });
  const diff = (source: string, person: 'auditor' | 'admin') =>
    bounded.as(person, '/v1/flows/diff', { body: { new: source } });
  const hogged = [1, 2, 3, 4, 5, 6].map(() => diff(entangled, 'admin'));
  const refused = await Promise.any(hogged);
  expect([refused.status, refused.slug]).toEqual([429, 'too-many-requests']);
  expect((await diff(soundFlow, 'auditor')).status).toBe(200);
  expect((await Promise.all(hogged)).filter(({ status }) => status === 422)).toHaveLength(1);
});

test('analyses that would run for minutes are ended, one too many is refused, the API answers meanwhile, and the next is served', async () => {
  const bounded = await apiFixture({
    limits,
    analystLimits: { threads: 1, waiting: 1, patienceMs: 6_000, heapMb: 512 },
    moreFlows: [soundFlow],
  });
  const diff = (source: string, person: 'auditor' | 'admin' | 'responder-1' = 'auditor') =>
    bounded.as(person, '/v1/flows/diff', { body: { new: source } });
  // One thread and one place to wait. All three are endless, so it does not matter in which order they arrive.
  const endless = (['auditor', 'admin', 'responder-1'] as const).map((person) => diff(entangled, person));
  const ended: number[] = [];
  for (const answer of endless) void answer.then(({ status }) => ended.push(status));
  expect((await bounded.as('auditor', '/v1/flows')).status).toBe(200);
  expect(ended).not.toContain(422);
  const answers = await Promise.all(endless);
  const told = answers.map(({ status, slug }) => `${status} ${slug}`);
  expect(told.sort()).toEqual(['422 too-complex', '422 too-complex', '429 too-many-requests']);
  for (const { status, detail } of answers) if (status === 422) expect(detail).toContain('Split the flow');
  expect((await diff(soundFlow)).status).toBe(200);
});
