import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { formatFlowError } from '../../../domain/flow/explain.ts';
import type { Flow, Stage } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';
import { isFinalRequestState } from '../../../domain/states.ts';
import { anyFlow, brokenGuard, type Move, story } from './arbitraryStories.ts';
import { flowOf, issue, PlayedRequest, proof, security } from './playedRequest.ts';
import { checkStep } from './stepInvariants.ts';

const triggers = fc.constantFrom('person' as const, 'pipeline' as const, 'schedule' as const);

function play(flow: Flow, moves: readonly Move[], trigger: 'person' | 'pipeline' | 'schedule', atOnce: boolean) {
  const played = new PlayedRequest(flow, { trigger, atOnce: atOnce && flow.on === 'revocation' });
  checkStep(played, played.last);
  for (const move of moves) {
    const seen = played.steps.length;
    move(played);
    for (const step of played.steps.slice(seen)) checkStep(played, step);
  }
  return played;
}

test('every generated flow is one of the language, so that what holds for them holds for what can be written', () => {
  fc.assert(
    fc.property(anyFlow, (flow) => {
      const source = stringify(flow, { aliasDuplicateObjects: false });
      const parsed = parseFlow(source, 'generated.flow.yaml');
      expect(parsed.ok ? parsed.flow : parsed.errors.map((error) => formatFlowError(error, source))).toEqual(flow);
    }),
    { numRuns: 200 },
  );
});

test('whatever happens, in whatever order, no step breaks what DESIGN promises of every step', () => {
  fc.assert(
    fc.property(anyFlow, story, triggers, fc.boolean(), (flow, moves, trigger, atOnce) => {
      play(flow, moves, trigger, atOnce);
    }),
    { numRuns: 800 },
  );
});

test('whatever has happened, once nothing holds it and every effect succeeds, a request ends and owes nothing', () => {
  fc.assert(
    fc.property(anyFlow, story, triggers, fc.boolean(), (flow, moves, trigger, atOnce) => {
      const played = play(flow, moves, trigger, atOnce);
      played.edit((facts) => ({ ...facts, holds: [] }));
      played.nudge();
      for (let round = 0; round < 60 && !played.plan.done; round += 1) {
        played.settle();
        checkStep(played, played.last);
        if (!played.plan.done) played.fireTimer();
      }
      expect(played.plan).toMatchObject({ done: true, effects: [] });
      expect(isFinalRequestState(played.facts.request.state)).toBe(true);
      // What a revocation took over, it destroys.
      if (played.facts.identity.state === 'revoking') return;
      const mine = played.facts.credentials.filter(({ requestId }) => requestId === 'request');
      for (const { state, hasReceipt } of mine) expect(state === 'current' || hasReceipt).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('a guard that errors always denies, and nothing is ever issued behind it', () => {
  const brokenStage = fc.constantFrom<Stage>(
    { id: 'broken', verify: { that: brokenGuard, otherwise: 'not-so' } },
    { id: 'broken', when: brokenGuard, verify: { that: 'owner.active', otherwise: 'not-so' } },
    { id: 'broken', when: brokenGuard, notify: { to: ['owner'] } },
    {
      id: 'broken',
      when: brokenGuard,
      approval: {
        require: [{ from: 'group:security', count: 1 }],
        separation: [],
        proof: 'session',
        timeout: { after: 'P1D', result: 'expire' },
      },
    },
  );
  fc.assert(
    fc.property(anyFlow, brokenStage, fc.nat(3), story, triggers, (flow, broken, place, moves, trigger) => {
      const effectAt = flow.stages.findIndex((candidate) => 'effect' in candidate);
      const stages = flow.stages.toSpliced(Math.min(place, effectAt), 0, broken);
      const played = play({ ...flow, stages }, moves, trigger, false);
      for (const { result, after } of played.steps) {
        for (const begun of ['mint', 'complete-review'])
          expect(result.changes.map(({ change }) => change)).not.toContain(begun);
        expect(after.identity.state === 'revoking' && flow.on === 'revocation').toBe(false);
        if (result.audit.some(({ kind }) => kind === 'request.guard-error')) {
          expect(after.request).toMatchObject({ state: 'denied', reason: 'guard-error' });
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('a weight that errors always denies, and nothing is ever issued under it', () => {
  fc.assert(
    fc.property(anyFlow, story, triggers, (flow, moves, trigger) => {
      const weights = [...(flow.risk?.weights ?? []), { when: brokenGuard, add: 1, because: 'broken' }];
      const played = play({ ...flow, risk: { weights } }, moves, trigger, false);
      const changes = played.steps.flatMap(({ result }) => result.changes.map(({ change }) => change));
      for (const begun of ['mint', 'complete-review', 'begin-revocation', 'record-decision'])
        expect(changes).not.toContain(begun);
      expect(played.steps[0]?.after.request).toMatchObject({ state: 'denied', reason: 'guard-error' });
    }),
    { numRuns: 100 },
  );
});

test('nothing is ever issued past a proof that is stale, somebody else’s, or of somebody who has left since', () => {
  const proving = fc.constantFrom('owner' as const, 'requester' as const).map(
    (by): Stage => ({
      ...proof,
      stepUp: { ...proof.stepUp, by },
    }),
  );
  // One of two approvals is time enough for whoever proved to leave.
  const asking: Stage = { ...security, approval: { ...security.approval, separation: [] } };
  let issued = 0;
  fc.assert(
    fc.property(proving, story, (stage, moves) => {
      const played = play(flowOf('onboarding', [stage, asking, issue]), moves, 'person', false);
      issued += played.facts.credentials.length;
    }),
    { numRuns: 400 },
  );
  expect(issued).toBeGreaterThan(0);
});
