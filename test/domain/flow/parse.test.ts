import { expect, test } from 'vitest';
import { formatFlowError } from '../../../domain/flow/explain.ts';
import { type FlowError, parseFlow } from '../../../domain/flow/parse.ts';
import { flowWith, soundFlow } from './flowSource.ts';

function errorsOf(source: string): readonly FlowError[] {
  const parsed = parseFlow(source, 'sound.flow.yaml');
  return parsed.ok ? [] : parsed.errors;
}

test('a sound file becomes the flow it says, with defaults filled in', () => {
  const parsed = parseFlow(soundFlow, 'sound.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map((error) => formatFlowError(error, soundFlow)).join('\n'));
  expect(parsed.flow.limits).toEqual({ credentialTtl: 'P90D', requestTtl: 'P3D', grace: 'PT24H' });
  expect(parsed.flow.stages.map(({ id }) => id)).toEqual(['ownership', 'review', 'issue', 'tell']);
  expect(parsed.flow.stages[1]).toMatchObject({
    approval: { proof: 'session', require: [{ from: 'group:security', count: 2 }] },
  });
  expect(parsed.digest).toMatch(/^[0-9a-f]{64}$/);
});

test('subject, limits and tests may be left out', () => {
  const short = `apiVersion: tenure/v1\nkind: Flow\nmetadata: {name: s, owner: s, description: s}\non: revocation\nstages: [{id: revoke, effect: revoke}]\n`;
  expect(parseFlow(short, 's')).toMatchObject({
    ok: true,
    flow: { subject: {}, tests: [], limits: { requestTtl: 'P3D' } },
  });
});

/** What is written instead of what, where the error stands, what it says, and what it suggests. */
const mistakes: [string, string, number, number, RegExp, string?][] = [
  ['tenure/v1', 'tenure/v2', 1, 13, /reads tenure\/v1, not tenure\/v2/],
  ['tenure/v1', 'tenur/v1', 1, 13, /must be tenure\/v1/, 'tenure/v1'],
  ['kind: Flow\n', '', 1, 1, /'kind' is missing/],
  ['kind: Flow', 'kind: Flow\nkind: Flow', 3, 1, /'kind' is here twice/],
  ['name: sound', 'name: Sound', 3, 18, /kebab-case/],
  ['description: ', 'descripton: ', 3, 42, /no 'descripton' here; known are name, owner, description/, 'description'],
  ['on: onboarding', 'on: onbording', 4, 5, /one of onboarding, rotation, revocation/, 'onboarding'],
  ['on: onboarding', 'on: invocation', 4, 5, /one of onboarding, rotation, revocation/, 'revocation'],
  ['on: onboarding', 'on: step-up', 5, 17, /only agents ask for step-ups, never a service-account/],
  ['requestTtl: P3D', 'grantTtl: PT5M', 6, 41, /a flow on onboarding grants nothing/],
  ['kind: service-account', 'kind: service', 5, 17, /one of service-account/],
  ['subject.environment ==', 'subject.enviroment ==', 5, 50, /no field 'enviroment'/, 'environment'],
  ['requestTtl: P3D', 'requestTtl: P1W', 6, 43, /"P1W" is not a duration/],
  ['requestTtl: P3D', 'requestTtl: PT0S', 6, 43, /longer than nothing/],
  ['requestTtl: P3D', 'requestTtl: PT12H', 16, 24, /the request ends after PT12H/],
  ['limits:', 'limit:', 6, 1, /no 'limit' here/, 'limits'],
  ['  - id: ownership', '  - id: Ownership', 8, 9, /kebab-case/],
  ['id: review', 'id: ownership', 10, 9, /there is a stage 'ownership' already/],
  [
    '    verify: {that',
    '    verfy: {that',
    8,
    5,
    /exactly one of verify, stepUp, approval, wait, effect, notify/,
    'verify',
  ],
  ['that: owner.active', 'that: owner.actve', 9, 26, /owner has no field 'actve'/, 'active'],
  [
    'verify: {that: owner.active, otherwise: owner-not-valid}',
    'verify:\n      otherwise: owner-not-valid\n      that: >\n        owner.active\n        && owner.actve',
    13,
    18,
    /owner has no field 'actve'/,
    'active',
  ],
  [
    'verify: {that: owner.active, otherwise: owner-not-valid}',
    'verify:\n      otherwise: owner-not-valid\n      that: |\n        owner.active\n        && owner.actve',
    13,
    18,
    /owner has no field 'actve'/,
    'active',
  ],
  [
    'verify: {that: owner.active, otherwise: owner-not-valid}',
    'verify:\n      otherwise: owner-not-valid\n      that: >-\n        owner.active\n        && owner.actve',
    13,
    18,
    /owner has no field 'actve'/,
    'active',
  ],
  [
    'verify: {that: owner.active, otherwise: owner-not-valid}',
    'verify:\n      otherwise: owner-not-valid\n      that: |+\n        owner.active\n        && owner.actve',
    13,
    18,
    /owner has no field 'actve'/,
    'active',
  ],
  ['when: risk.score > 10', 'when: owner.active &&\n      owner.actve', 12, 13, /owner has no field 'actve'/, 'active'],
  ['that: owner.active', "that: 'owner.id == owner.actve'", 9, 39, /owner has no field 'actve'/, 'active'],
  ['that: owner.active', 'that: "owner.id == owner.actve"', 9, 39, /owner has no field 'actve'/, 'active'],
  ['that: owner.active', 'that: owner.id', 9, 20, /gives string, not true or false/],
  ['that: owner.active', 'that: owner.id.matches("a")', 9, 20, /'matches' is not one of/],
  ['otherwise: owner-not-valid', 'otherwise: Owner not valid', 9, 45, /kebab-case/],
  ['when: risk.score > 10', 'when: risk.score > "10"', 11, 11, /no such overload: int > string/],
  [
    'when: risk.score > 10',
    'when: true\n    verify: {that: true, otherwise: no}',
    10,
    5,
    /exactly one of .* not verify and approval/,
  ],
  ['when: risk.score > 10', 'whn: risk.score > 10', 11, 5, /no 'whn' here/, 'when'],
  ['from: group:security', 'from: security', 13, 24, /group:<name>/],
  ['from: group:security', 'from: group:s\u0435curity', 13, 24, /group:<name>/],
  ['count: 2', 'count: 0', 13, 47, /at least 1/],
  ['count: 2', 'count: 1.5', 13, 47, /whole/],
  ['count: 2', 'count: "2"', 13, 47, /a whole number, not text/],
  ['count: 2}', 'count: 2}, {from: group:security, count: 1}', 13, 58, /asked for twice/],
  [
    '[{from: group:security, count: 2}]',
    '[{from: owner, count: 2}]',
    13,
    24,
    /separation keeps the owner from deciding/,
  ],
  ['[{from: group:security, count: 2}]', '[]', 13, 16, /at least one source/],
  ['      separation: [requester, owner]\n', '', 12, 5, /'separation' is missing/],
  ['[requester, owner]', '[requester, owners]', 14, 31, /one of requester, onBehalfOf, owner, flowAuthor/, 'owner'],
  ['[requester, owner]', '[requester, requester]', 14, 31, /'requester' is here twice/],
  ['after: PT4H', 'after: P1D', 15, 25, /before the timeout of P1D/],
  ['to: group:security-lead', 'to: everybody', 15, 35, /group:<name>/],
  ['result: deny', 'result: approve', 16, 37, /one of deny, expire/],
  ['      timeout: {after: P1D, result: deny}\n', '', 12, 5, /'timeout' is missing/],
  ['result: deny}', 'result: deny}\n      denials: 0', 17, 16, /at least 1: an approval that nobody can deny/],
  ['result: deny}', 'result: deny}\n      denials: 21', 17, 16, /at most 20/],
  ['result: deny}', 'result: deny}\n      denial: 2', 17, 7, /no 'denial' here/, 'denials'],
  [
    'require: [{from: group:security, count: 2}]\n      separation: [requester, owner]\n      escalate: {after: PT4H, to: group:security-lead}',
    'require: [{from: owner, count: 1}]\n      separation: [requester]\n      denials: 2',
    15,
    16,
    /only the owner decides here/,
  ],
  [
    'subject.environment == "production"',
    'subject.environment == "production" && risk.score > 1',
    5,
    81,
    /asked before the risk is known/,
  ],
  ['\'"ledger:read" in subject.scopes\'', 'risk.score > 1', 24, 25, /asked before the risk is known/],
  ['\'"ledger:read" in subject.scopes\'', 'owner.actve', 24, 31, /owner has no field 'actve'/, 'active'],
  ['add: 50', 'add: 1001', 24, 65, /at most 1000/],
  ['add: 50', 'add: -1001', 24, 65, /at least -1000/],
  ['add: 50', 'ad: 50', 24, 60, /no 'ad' here; known are when, add, because/],
  [
    'because: reads the ledger}',
    'because: reads the ledger}, {when: owner.active, add: 1, because: reads the ledger}',
    24,
    135,
    /there is a weight 'reads the ledger' already/,
  ],
  ['risk: {weights: [', 'risk: {weights: [], other: [', 24, 21, /no 'other' here; known are weights/],
  [
    '{id: issue,',
    '{id: p, stepUp: {method: session, by: owners, maxAge: PT5M}}\n  - {id: issue,',
    17,
    43,
    /one of requester, owner, onBehalfOf/,
    'owner',
  ],
  [
    '{id: issue,',
    '{id: p, stepUp: {method: passkey, by: owner, maxAge: PT5M}}\n  - {id: issue,',
    17,
    30,
    /one of session, agent-key/,
  ],
  [
    '{id: issue,',
    '{id: p, stepUp: {method: agent-key, by: owner, maxAge: PT5M}}\n  - {id: issue,',
    17,
    30,
    /an agent proves by agent-key, and a person by session/,
  ],
  [
    '{id: issue,',
    '{id: p, stepUp: {method: agent-key, by: agent, maxAge: PT5M}}\n  - {id: issue,',
    17,
    45,
    /only a step-up has one/,
  ],
  [
    '{id: issue,',
    '{id: p, stepUp: {method: session, by: owner, maxAge: PT0.5S}}\n  - {id: issue,',
    17,
    58,
    /at least 1 s/,
  ],
  [
    '{id: issue,',
    '{id: p, stepup: {method: session, by: owner, maxAge: PT5M}}\n  - {id: issue,',
    17,
    5,
    /exactly one of verify, stepUp/,
    'stepUp',
  ],
  [
    '{id: tell,',
    '{id: p, stepUp: {method: session, by: owner, maxAge: PT5M}}\n  - {id: tell,',
    18,
    21,
    /after the effect/,
  ],
  ['decision: approve, by: pia', 'confirm: pio', 22, 24, /nobody is called 'pio'/, 'pia'],
  ['{id: issue,', '{id: cool, wait: {for: P3D}}\n  - {id: issue,', 17, 28, /before this wait is over/],
  ['{id: issue,', '{id: cool, wait: {for: PT0S}}\n  - {id: issue,', 17, 28, /longer than nothing/],
  ['{id: issue,', '{id: cool, wait: {until: PT1H}}\n  - {id: issue,', 17, 23, /no 'until' here; known are for/],
  ['{id: tell,', '{id: cool, wait: {for: PT1H}}\n  - {id: tell,', 18, 22, /after the effect/],
  ['effect: issue', 'effect: rotate', 17, 25, /effect of a flow on onboarding is 'issue'/],
  ['  - {id: issue, effect: issue}\n', '', 8, 3, /approve and do nothing/],
  ['{id: tell,', '{id: again, effect: issue}\n  - {id: tell,', 18, 25, /one effect/],
  [
    '{id: tell,',
    '{id: late, verify: {that: true, otherwise: no}}\n  - {id: tell,',
    18,
    31,
    /must be text, not true or false/,
  ],
  ['{id: tell,', "{id: late, verify: {that: 'true', otherwise: late}}\n  - {id: tell,", 18, 24, /after the effect/],
  ['{id: issue, effect: issue}', '{id: issue, effect: issue, when: owner.active}', 17, 32, /no 'when' here/],
  ['[owner, requester]}', '[owner, everyone]}', 18, 37, /owner, requester, approvers or group:<name>/],
  ['{score: 50}', '{scor: 50}', 21, 20, /no 'scor' here/, 'score'],
  ['by: pia', 'by: pai', 22, 38, /nobody is called 'pai'/, 'pia'],
  ['decision: approve', 'decison: approve', 22, 14, /exactly one of decision/, 'decision'],
  ['outcome: waiting', 'outcome: waitin', 23, 23, /one of waiting/, 'waiting'],
  ['stage: review', 'stage: reviews', 23, 39, /no stage 'reviews'/, 'review'],
  ['metadata:', '\tmetadata:', 3, 1, /not valid YAML/],
  ['metadata:', 'metadata', 3, 17, /not valid YAML/],
  ['stages:', '---\nstages:', 7, 1, /a file holds one flow/],
  ['owner: security', 'owner: &s security', 3, 35, /anchors/],
  ['owner: security', 'owner: !!str security', 3, 38, /tags/],
  ['owner: security', 'owner: !custom security', 3, 40, /tags/],
  ['owner: security', 'owner: s\u200becurity', 3, 33, /U\+200B cannot be seen/],
  ['owner: security', 'owner: "s\\u200becurity"', 3, 32, /U\+200B cannot be seen/],
];

test.each(mistakes)(
  '%j written as %j is refused at line %i, column %i',
  (...[part, replacement, line, column, reason, suggestion]) => {
    const errors = errorsOf(flowWith(part, replacement));
    expect(errors).toContainEqual({
      file: 'sound.flow.yaml',
      line,
      column,
      reason: expect.stringMatching(reason),
      path: expect.any(String),
      ...(suggestion !== undefined && { suggestion }),
    });
  },
);

test('all mistakes of a file are told at once, in the order of the file', () => {
  const source = flowWith('that: owner.active', 'that: owner.actve')
    .replace('count: 2', 'count: 0')
    .replace('id: tell', 'id: issue')
    .replace('onboarding', 'onbording')
    .replace('by: pia', 'by: nobody-known');
  expect(errorsOf(source).map(({ line, path }) => [line, path])).toEqual([
    [4, 'on'],
    [9, 'stages[0].verify.that'],
    [13, 'stages[1].approval.require[0].count'],
    [18, 'stages[3].id'],
    [22, 'tests[0].events[0].by'],
  ]);
});

test('a mistake is shown with its line and a caret under the character', () => {
  const source = flowWith('that: owner.active', 'that: owner.actve');
  const [error] = errorsOf(source);
  if (error === undefined) throw new Error('no mistake was found');
  expect(formatFlowError(error, source)).toBe(
    [
      "sound.flow.yaml:9:26: guard: owner has no field 'actve'; it has id, active, groups (at stages[0].verify.that)",
      '  9 |     verify: {that: owner.actve, otherwise: owner-not-valid}',
      '    |                          ^',
      "  did you mean 'active'?",
    ].join('\n'),
  );
});

test.each(['', '\n\n', '# nothing but a comment\n', 'null', '~'])('an empty file is no flow: %j', (source) => {
  expect(errorsOf(source)).toHaveLength(1);
});

test.each(['[]', 'flow', '5', 'true', '- a'])('a file that is not a map is no flow: %j', (source) => {
  expect(errorsOf(source)).toMatchObject([{ line: 1, column: 1, reason: expect.stringContaining('must be a map') }]);
});
