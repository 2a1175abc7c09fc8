import { expect, test } from 'vitest';
import { policyFactsOf } from '../../../domain/agentPolicy.ts';
import type { AgentPolicy } from '../../../domain/agents.ts';
import type { Advance } from '../../../domain/flow/advance.ts';
import { diffFlows } from '../../../domain/flow/analysis/diff.ts';
import type { Verdict } from '../../../domain/flow/events.ts';
import type { GivenFacts, Stage } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { factsOfTest } from '../../../domain/flow/testFacts.ts';
import { TestWorld } from '../../../domain/flow/testWorld.ts';
import { grantCeiling } from '../../../domain/stepUp.ts';
import { flowOf } from './playedRequest.ts';

const grant: Stage = { id: 'grant', effect: 'grant' };
const confirm: Stage = { id: 'confirm', stepUp: { method: 'agent-key', by: 'agent', maxAge: 'PT1M' } };

const verdictSlug = (verdict: Verdict): string | undefined => (verdict.accepted ? undefined : verdict.slug);

function playing(stages: readonly Stage[], given: GivenFacts = {}, grantTtl?: string) {
  const bare = flowOf('step-up', stages);
  const flow = grantTtl === undefined ? bare : { ...bare, limits: { ...bare.limits, grantTtl } };
  const steps: Advance[] = [];
  const facts = factsOfTest(flow, given);
  const world = new TestWorld({ flow, facts, flowAuthor: 'ann', watch: (step) => steps.push(step) });
  const grants = () => steps.flatMap(({ changes }) => changes.filter(({ change }) => change === 'grant'));
  return { world, facts, grants };
}

test('what no stage asks more of is granted in the step that opens it, for ten minutes', () => {
  const { world, grants } = playing([grant]);
  expect(world.requestState).toBe('completed');
  expect(grants()).toMatchObject([{ grantId: 'test-request', expiresAt: '2026-01-01T00:10:00.000Z', tool: 'example' }]);
  expect(world.plan).toMatchObject({ done: true, effects: [] });
});

test('a grant lives no longer than its flow lets it, nor than the identity', () => {
  expect(playing([grant], {}, 'PT2M').grants()).toMatchObject([{ expiresAt: '2026-01-01T00:02:00.000Z' }]);
  const dying = playing([grant], { subject: { expiresAt: '2026-01-01T00:01:00.000Z' } });
  expect(dying.grants()).toMatchObject([{ expiresAt: '2026-01-01T00:01:00.000Z' }]);
});

test('of flow and policy the shorter ceiling counts', () => {
  expect(grantCeiling({}, undefined)).toBe('PT10M');
  expect(grantCeiling({ grantTtl: 'PT5M' }, 'PT20M')).toBe('PT5M');
  expect(grantCeiling({ grantTtl: 'PT5M' }, 'PT60S')).toBe('PT60S');
});

test('what the policy does not cover is denied, also by a flow that never asks', () => {
  const { world, grants } = playing([grant], { policy: { coversWorkspace: false } });
  expect(world).toMatchObject({ requestState: 'denied', reason: 'outside-policy' });
  expect(grants()).toEqual([]);
});

test('an agent proves with its key, and nobody else in its place', () => {
  const { world, facts, grants } = playing([confirm, grant], { onBehalfOf: { id: 'ana', active: true } });
  expect(world.requestState).toBe('awaiting-proof');
  expect(verdictSlug(world.confirm(facts.onBehalfOf, world.nowMs))).toBe('not-eligible');
  expect(verdictSlug(world.confirm(facts.requester, world.nowMs - 61_000))).toBe('insufficient-user-authentication');
  expect(grants()).toEqual([]);
  expect(verdictSlug(world.confirm(facts.requester, world.nowMs))).toBeUndefined();
  expect(world.requestState).toBe('completed');
  expect(grants()).toHaveLength(1);
});

test('nothing is granted under a freeze or a pause, and once when both are over', () => {
  const { world, facts, grants } = playing([confirm, grant]);
  world.freeze();
  world.command('rui', 'pause');
  world.confirm(facts.requester, world.nowMs);
  expect(world.requestState).toBe('held');
  world.command('rui', 'resume');
  expect(world.requestState).toBe('held');
  world.wait(1_000);
  expect(grants()).toEqual([]);
  world.thaw();
  expect(world.requestState).toBe('completed');
  world.wait(1_000);
  expect(grants()).toHaveLength(1);
});

test('a freeze that cancels ends what waits, and nothing is granted', () => {
  const { world, grants } = playing([confirm, grant]);
  world.freeze('freeze', 'cancel');
  expect(world).toMatchObject({ requestState: 'cancelled', reason: 'frozen' });
  expect(grants()).toEqual([]);
});

test('a flow that grants for longer than an hour is not read', () => {
  const source = `apiVersion: tenure/v1\nkind: Flow\nmetadata: {name: s, owner: s, description: s}\non: step-up\nlimits: {grantTtl: PT61M}\nstages: [{id: grant, effect: grant}]\n`;
  expect(parseFlow(source, 's')).toMatchObject({ ok: false, errors: [{ line: 5, path: 'limits.grantTtl' }] });
  expect(parseFlow(source.replace('PT61M', 'PT1H'), 's')).toMatchObject({ ok: true });
});

test('a longer life of grants, and another who proves, weaken a flow', () => {
  const short = {
    ...flowOf('step-up', [confirm, grant]),
    limits: { ...flowOf('step-up', []).limits, grantTtl: 'PT5M' },
  };
  const { limits: longer } = flowOf('step-up', []);
  expect(diffFlows([short], [{ ...short, limits: longer }]).changes).toMatchObject([
    { path: 'limits.grantTtl', label: 'WEAKENS', because: 'a grant is accepted for longer' },
  ]);
  const byOwner: Stage = { id: 'confirm', stepUp: { method: 'session', by: 'owner', maxAge: 'PT1M' } };
  const { changes } = diffFlows([short], [{ ...short, stages: [byOwner, grant] }]);
  expect(changes).toMatchObject([{ path: 'stages.confirm.stepUp.by', label: 'WEAKENS', was: 'the agent' }]);
});

const policy: AgentPolicy = {
  rules: [
    { tool: 'search', actions: ['read'], resources: ['docs/*'], workspaces: ['production/eu', 'test*'] },
    { tool: 'search', actions: ['write'], resources: ['*'], workspaces: ['development'] },
  ],
};
const covered = (action: string, resource: string, workspace: string, scopes = ['search:read', 'search:write']) =>
  Object.values(policyFactsOf(policy, scopes, { name: 'search', action, resource, workspace })).filter(Boolean).length;

test.each([
  ['read', 'docs/handbook', 'production/eu', 3],
  ['read', 'docs/handbook', 'testing', 3],
  ['read', 'docs/handbook', 'test/eu', 2],
  ['read', 'docs/handbook', 'production/us', 2],
  ['read', 'docs/a/b', 'production/eu', 1],
  ['read', 'docs', 'production/eu', 1],
  ['read', 'docs/..', 'production/eu', 1],
  ['write', 'handbook', 'development', 3],
  // The resources of one rule are not those of another.
  ['write', 'docs/handbook', 'production/eu', 1],
  ['write', 'handbook', 'production/eu', 2],
  ['delete', 'docs/handbook', 'production/eu', 0],
] as const)('%s on %s in %s is covered in %i of 3 respects', (action, resource, workspace, respects) => {
  expect(covered(action, resource, workspace)).toBe(respects);
});

test('a scope that a review took away is covered no more, and without a policy nothing is', () => {
  expect(covered('read', 'docs/handbook', 'production/eu', ['search:write'])).toBe(0);
  const ask = { name: 'search', action: 'read', resource: 'docs/x', workspace: 'test' };
  expect(policyFactsOf(undefined, ['search:read'], ask).coversAction).toBe(false);
});

test.each([
  ['a*c', 'abc', true],
  ['a*c', 'ac', true],
  ['a*b*c', 'axxbyyc', true],
  ['a*b*c', 'ac', false],
  ['ab*ba', 'aba', false],
  ['*', '', true],
  ['**', 'anything', true],
  ['*a*', 'bbb', false],
])('the pattern %s and the segment %s: %s', (pattern, resource, is) => {
  const rules = [{ tool: 't', actions: ['a'], resources: [pattern], workspaces: ['w'] }];
  const ask = { name: 't', action: 'a', resource, workspace: 'w' };
  expect(policyFactsOf({ rules }, ['t:a'], ask).coversWorkspace).toBe(is);
});
