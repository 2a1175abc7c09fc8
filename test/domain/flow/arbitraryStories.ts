import fc from 'fast-check';
import type { Command } from '../../../domain/flow/events.ts';
import { type Flow, type FlowException, type Stage, stepUpParties } from '../../../domain/flow/language.ts';
import { isFinalRequestState } from '../../../domain/states.ts';
import { exampleFacts } from './exampleFacts.ts';
import {
  dayMs,
  everybody,
  failed,
  flowOf,
  hourMs,
  issue,
  type PlayedRequest,
  review,
  revoke,
  rotate,
  secondMs,
} from './playedRequest.ts';

/** Arbitrary flows, and arbitrary stories of what happens to a request: people, holds, time, issuers and stores. */

const minuteMs = 60 * secondMs;

const person = fc.constantFrom(...everybody.map(({ id }) => id));
const guard = fc.constantFrom('owner.active', 'size(subject.scopes) < 3', 'request.trigger == "person"');
const condition = fc.oneof(guard, fc.constant('risk.score > 90'));
/** Evaluates to an error, whatever the facts: no such label is ever set. */
export const brokenGuard = 'subject.labels.absent == "x"';

const verifyStage = guard.map((that) => ({ verify: { that, otherwise: 'not-so' } }));
const approvalStage = fc
  .record({
    require: fc.uniqueArray(
      fc.record({
        from: fc.constantFrom('group:security', 'group:security', 'group:team', 'owner'),
        count: fc.integer({ min: 1, max: 3 }),
      }),
      { minLength: 1, maxLength: 2, selector: ({ from }) => from },
    ),
    separation: fc.subarray(['requester', 'onBehalfOf', 'owner', 'flowAuthor'] as const),
    hasEscalation: fc.boolean(),
    after: fc.constantFrom('PT6H', 'P1D', 'P3D'),
    result: fc.constantFrom('deny' as const, 'expire' as const),
    denials: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  })
  .map(({ require: sources, separation, hasEscalation, after, result, denials }) => ({
    approval: {
      // What could never be met is no flow of the language: one owner, and one who may decide.
      require: sources.map(({ from, count }) => ({ from, count: from === 'owner' ? 1 : count })),
      separation: separation.filter((role) => role !== 'owner' || sources.every(({ from }) => from !== 'owner')),
      proof: 'session' as const,
      ...(hasEscalation ? { escalate: { after: 'PT4H', to: 'group:lead' } } : {}),
      timeout: { after, result },
      ...(denials === undefined || (!hasEscalation && sources.every(({ from }) => from === 'owner'))
        ? {}
        : { denials }),
    },
  }));
const waitStage = fc.constantFrom('PT1H', 'PT31S', 'P1D').map((span) => ({ wait: { for: span } }));
const stepUpStage = fc
  .constantFrom(...stepUpParties.filter((party) => party !== 'agent'))
  .map((by) => ({ stepUp: { method: 'session' as const, by, maxAge: 'PT5M' } }));
const notifyStage = fc.constant({ notify: { to: ['owner'] } });
const stage = fc.tuple(
  fc.oneof(verifyStage, approvalStage, approvalStage, notifyStage, waitStage, stepUpStage),
  fc.option(condition, { nil: undefined, freq: 3 }),
);

/** Few scopes, or a person who asks, make the risk that `condition` asks of. */
const risk = fc.tuple(fc.constantFrom(91, 40, -10), fc.constantFrom(60, 100)).map(([few, byPerson]) => ({
  weights: [
    { when: 'size(subject.scopes) < 3', add: few, because: 'few scopes' },
    { when: 'request.trigger == "person"', add: byPerson, because: 'a person asks' },
  ],
}));

/** Of these stages, for the subject of every story or another, until some instant of it. */
const exception = (waivable: readonly string[]): fc.Arbitrary<FlowException> =>
  fc
    .record({
      subject: fc.constantFrom(
        { name: exampleFacts.subject.name, environment: exampleFacts.subject.environment },
        { id: exampleFacts.subject.id },
        { name: 'another', environment: exampleFacts.subject.environment },
      ),
      stages: fc.subarray([...waivable], { minLength: 1 }),
      afterMs: fc.constantFrom(0, secondMs, 61 * secondMs, 5 * hourMs, 30 * dayMs),
    })
    .map(({ subject, stages, afterMs }) => {
      const until = new Date(Date.parse(exampleFacts.now) + afterMs).toISOString();
      return { id: 'spared', subject, stages, until, because: 'a test' };
    });

const effects = { onboarding: issue, rotation: rotate, revocation: revoke, review } as const;
export const anyFlow: fc.Arbitrary<Flow> = fc
  .record({
    on: fc.constantFrom('onboarding' as const, 'rotation' as const, 'revocation' as const, 'review' as const),
    // Half of them ask nobody, so that many stories come far.
    before: fc.oneof(fc.array(stage, { maxLength: 0 }), fc.array(stage, { maxLength: 3, size: 'max' })),
    hasNotice: fc.boolean(),
    weighs: fc.option(risk, { nil: undefined }),
  })
  .chain(({ on, before, hasNotice, weighs }) => {
    const stages = before.map(
      ([what, when], index): Stage => ({ id: `s${index}`, ...what, ...(when === undefined ? {} : { when }) }),
    );
    const notice: Stage[] = hasNotice ? [{ id: 'tell', notify: { to: ['owner'] } }] : [];
    const unweighed = flowOf(on, [...stages, effects[on], ...notice]);
    const flow = weighs === undefined ? unweighed : { ...unweighed, risk: weighs };
    const waivable = stages.filter((candidate) => !('notify' in candidate)).map(({ id }) => id);
    if (waivable.length === 0) return fc.constant(flow);
    return fc.option(exception(waivable), { nil: undefined }).map((spared) => {
      return spared === undefined ? flow : { ...flow, exceptions: [spared] };
    });
  });

export type Move = (played: PlayedRequest) => void;
/** A counterexample then reads as a story. */
const move = (label: string, run: Move): Move => Object.assign(run, { [fc.toStringMethod]: () => label });
const failure = fc.constantFrom(
  failed('IssuerUnavailable'),
  failed('Timeout'),
  failed('HandleNotResumable'),
  failed('ProofRefused'),
  failed('StagedValueDestroyed'),
  failed('NoLongerWanted'),
  { ok: true as const, result: { outcome: 'superseded' as const } },
);
const outcome = fc.oneof({ weight: 2, arbitrary: fc.constant('done' as const) }, { weight: 1, arbitrary: failure });
const because = { reason: 'a test' };
const give = (command: Command): Move => move(`${command.by}: ${command.do}`, (played) => void played.command(command));
const often = <T>(times: number, arbitrary: fc.Arbitrary<T>) => ({ weight: times, arbitrary });
const always = (label: string, run: Move) => fc.constant(move(label, run));

const moves: fc.Arbitrary<Move> = fc.oneof(
  often(
    20,
    fc.tuple(fc.nat(9), outcome).map(([nth, how]) => move('answer', (played) => answerOpen(played, nth, how))),
  ),
  often(
    3,
    fc.tuple(fc.nat(30), outcome).map(([nth, how]) => move('late answer', (played) => answerLate(played, nth, how))),
  ),
  often(
    14,
    fc
      .tuple(person, fc.constantFrom('approve' as const, 'approve' as const, 'approve' as const, 'withdraw' as const))
      .map(([by, verdict]) => move(`${by}: ${verdict}`, (played) => void played.decide(by, verdict))),
  ),
  often(
    2,
    person.map((by) => move(`${by}: deny`, (played) => void played.decide(by, 'deny'))),
  ),
  often(
    8,
    fc
      .constantFrom(0, 0, 0, 6 * minuteMs)
      .map((age) => move(`whoever is asked: proof, signed in ${age} ms ago`, (played) => askedProves(played, age))),
  ),
  often(
    3,
    fc
      .tuple(person, fc.constantFrom(0, 4 * minuteMs, 6 * minuteMs))
      .map(([by, age]) => move(`${by}: proof, signed in ${age} ms ago`, (played) => void played.confirm(by, age))),
  ),
  often(
    4,
    always('timer', (played) => void played.fireTimer()),
  ),
  often(
    3,
    fc
      .constantFrom(secondMs, 5 * secondMs, 31 * secondMs, 61 * secondMs, 5 * hourMs, dayMs)
      .map((ms) => move(`+${ms} ms`, (played) => played.passTime(ms))),
  ),
  often(
    2,
    always('nudge', (played) => played.nudge()),
  ),
  often(
    2,
    always('freeze', (played) => {
      played.hold('freeze', 'ida');
      played.nudge();
    }),
  ),
  // In force from its commit on; the nudge comes later, or never.
  often(
    2,
    always('freeze, untold', (played) => played.hold('freeze', 'ida')),
  ),
  often(
    2,
    always('thaw', (played) => {
      played.thaw();
      played.nudge();
    }),
  ),
  often(
    2,
    person.map((by) => give({ do: 'pause', by, ...because })),
  ),
  often(
    3,
    person.map((by) => give({ do: 'resume', by, all: by === 'lea', ...because })),
  ),
  often(
    1,
    person.map((by) => give({ do: 'cancel', by, ...because })),
  ),
  often(
    2,
    person.map((by) => give({ do: 'retry', by, ...because })),
  ),
  often(
    2,
    person.map((by) => give({ do: 'rollback', by, ...because })),
  ),
  often(
    1,
    fc.nat(3).map((version) => give({ do: 'resolve', by: 'lea', version, ...because })),
  ),
  often(
    1,
    fc
      .tuple(person, fc.integer({ min: 1, max: 4 }))
      .map(([ownerId, scopes]) =>
        move(`amended: ${scopes} scopes, ${ownerId} owns`, (played) => amend(played, ownerId, scopes)),
      ),
  ),
  often(
    1,
    fc
      .tuple(person, fc.boolean())
      .map(([id, active]) => move(`${id} active: ${active}`, (played) => played.person(id, { active }))),
  ),
  often(
    1,
    fc
      .tuple(person, fc.constantFrom<string[]>([], ['team'], ['security', 'lead']))
      .map(([id, groups]) => move(`${id} in ${groups.join()}`, (played) => played.person(id, { groups }))),
  ),
  often(
    1,
    fc
      .tuple(person, fc.boolean())
      .map(([id, byMachine]) => move(`${id} joins`, (played) => join(played, id, byMachine))),
  ),
  often(
    6,
    fc
      .tuple(fc.nat(5), fc.constantFrom('leaves' as const, 'changes teams' as const, 'joins' as const))
      .map(([nth, what]) => move(`an approver ${what}`, (played) => approverMoves(played, nth, what))),
  ),
  often(
    2,
    always('the owner leaves', (played) => played.person(played.facts.parties.ownerId, { active: false })),
  ),
  often(4, always('everybody approves', everybodyApproves)),
  often(3, always('acknowledge', acknowledge)),
  often(1, always('revoked by another', revokedByAnother)),
);
export const story = fc.array(moves, { maxLength: 40, size: 'max' });

function answerOpen(played: PlayedRequest, nth: number, how: Parameters<PlayedRequest['answerOrder']>[1]): void {
  const { effects: open } = played.plan;
  const order = open[nth % Math.max(1, open.length)];
  if (order !== undefined) played.answerOrder(order, how);
}

/** An order of earlier, answered once more or only now: a zombie worker, a repeated event. */
function answerLate(played: PlayedRequest, nth: number, how: Parameters<PlayedRequest['answerOrder']>[1]): void {
  const order = [...played.orders.values()][nth % Math.max(1, played.orders.size)];
  if (order !== undefined) played.answerOrder(order, how);
}

/** One after another, while it is asked. */
function everybodyApproves(played: PlayedRequest): void {
  for (const { id } of everybody) if (played.plan.state === 'awaiting-proof') played.confirm(id);
  for (const { id } of everybody) if (played.plan.state === 'awaiting-approval') played.decide(id, 'approve');
}

function askedProves(played: PlayedRequest, ageMs: number): void {
  const stage = played.flow.stages[played.state.stage];
  if (stage === undefined || !('stepUp' in stage)) return;
  played.confirm(stage.stepUp.by === 'owner' ? played.facts.parties.ownerId : played.facts.request.requesterId, ageMs);
}

function amend(played: PlayedRequest, ownerId: string, scopes: number): void {
  const subject = { ownerId, scopes: Array.from({ length: scopes }, (_, index) => `scope-${index}`) };
  const verdict = played.command({ do: 'amend', by: 'rui', subject, ...because });
  if (verdict.accepted) played.nudge();
}

/** Asks for the same too, in person or as the one behind a machine. */
function join(played: PlayedRequest, id: string, byMachine: boolean): void {
  played.edit((facts) => {
    const requesters = [...new Set([...facts.parties.requesters, byMachine ? 'pipeline:deploy' : id])];
    const onBehalfOf = byMachine ? [...new Set([...facts.parties.onBehalfOf, id])] : facts.parties.onBehalfOf;
    return { ...facts, parties: { ...facts.parties, requesters, onBehalfOf } };
  });
}

/** What was counted once may count no more. */
function approverMoves(played: PlayedRequest, nth: number, what: 'leaves' | 'changes teams' | 'joins'): void {
  const { decisions } = played.facts;
  const id = decisions[nth % Math.max(1, decisions.length)]?.approver.id;
  if (id === undefined) return;
  if (what === 'joins') join(played, id, nth % 2 === 0);
  else played.person(id, what === 'leaves' ? { active: false } : { groups: [] });
}

function acknowledge(played: PlayedRequest): void {
  played.edit((facts) => ({ ...facts, acknowledgedBy: facts.guardFacts.subject.consumers }));
  played.nudge();
}

/** The transaction of a revocation that is another request's. */
function revokedByAnother(played: PlayedRequest): void {
  if (played.flow.on === 'revocation' || !['requested', 'active'].includes(played.facts.identity.state)) return;
  played.edit((facts) => ({
    ...facts,
    identity: {
      ...facts.identity,
      state: facts.identity.state === 'active' ? 'revoking' : 'rejected',
      epoch: facts.identity.epoch + 1,
    },
    credentials: facts.credentials.map((credential) => ({ ...credential, state: 'destroying' as const })),
    ...(isFinalRequestState(facts.request.state)
      ? {}
      : { request: { ...facts.request, state: 'cancelled' as const, reason: 'revoking' } }),
  }));
  played.nudge();
}
