import type { Approver } from '../decisions.ts';
import { isFinalRequestState } from '../states.ts';
import type { Advance } from './advance.ts';
import type { Verdict } from './events.ts';
import type { ApprovalStage, Flow } from './language.ts';
import type { RecordedEvent, RecordedRequest } from './recordedRequest.ts';
import { selectFlow } from './select.ts';
import { proverAt } from './stages.ts';
import type { Hold } from './state.ts';
import { complete, outcomeOf } from './testing.ts';
import { TestWorld } from './testWorld.ts';

/**
 * Recorded requests, played through an old and a new version of a flow by the `advance` that runs in production. Pure.
 *
 * What people did is offered to either flow at its instant: a decision at whatever stage then waits for one. What people
 * would have done otherwise under another flow is not known and not guessed: an approval that the new flow asks for and
 * nobody gave is missing. The risk is what each flow's weights make of the facts. Issuers and stores are taken to succeed at once, and facts to stay as they were at opening.
 */

/** Where a request stood at the end of its record. */
export interface Ending {
  /** A word of tests (`waiting`, `completed` …), or `not-covered`, `guard-error`. */
  readonly outcome: string;
  readonly reason?: string;
  readonly stage?: string;
}

export interface ChangedRequest {
  readonly id: string;
  readonly subject: string;
  readonly environment: string;
  readonly requester: string;
  readonly before: Ending;
  readonly after: Ending;
  /** In words, the ending first. */
  readonly why: readonly string[];
}

export interface Simulation {
  /** Recorded requests of the flows' operation that one of them covers. */
  readonly played: number;
  /** Recorded requests of another operation, or that neither flow covers. */
  readonly others: number;
  readonly changed: readonly ChangedRequest[];
  /** Ended otherwise under the old flow than they really did: what is not recorded (an issuer's failure, a person who left) mattered. */
  readonly unlike: readonly { readonly id: string; readonly recorded: Ending; readonly played: Ending }[];
}

/**
 * Plays every record through both flows.
 * A request counts as changed when it ends otherwise, when a decision that counted would be refused or the reverse, or when
 * its effect begins at another instant.
 * @throws TypeError when the flows are not on the same operation
 */
export function simulate(before: Flow, after: Flow, records: Iterable<RecordedRequest>): Simulation {
  if (before.on !== after.on)
    throw new TypeError(`The old flow is on ${before.on}, the new one on ${after.on}: their requests do not compare.`);
  const changed: ChangedRequest[] = [];
  const unlike: { id: string; recorded: Ending; played: Ending }[] = [];
  let played = 0;
  let others = 0;
  for (const record of records) {
    const isOurs = record.facts.request.kind === before.on;
    const [old, now] = isOurs ? [play(before, record), play(after, record)] : [undefined, undefined];
    if (old === undefined || now === undefined || (isUncovered(old) && isUncovered(now))) {
      others += 1;
      continue;
    }
    played += 1;
    const why = changesBetween(old, now);
    if (why.length > 0) {
      const { facts } = record;
      const of = 'subject' in facts ? facts.subject : { name: facts.publication.names.join(', '), environment: '' };
      const whose = { subject: of.name, environment: of.environment, requester: facts.requester.id };
      changed.push({ id: record.id, ...whose, before: old.ending, after: now.ending, why });
    }
    const recorded = recordedEnding(record);
    if (recorded !== undefined && !isUncovered(old) && !isSameEnd(recorded, old.ending))
      unlike.push({ id: record.id, recorded, played: old.ending });
  }
  return { played, others, changed, unlike };
}

interface Played {
  readonly ending: Ending;
  /** Of the stages that decide. */
  readonly passed: ReadonlySet<string>;
  readonly skipped: ReadonlySet<string>;
  /** By an exception. */
  readonly waived: ReadonlySet<string>;
  /** Of each decision, in the order of the record. */
  readonly decisions: readonly {
    readonly by: string;
    readonly what: string;
    readonly at: string;
    readonly verdict: Verdict;
  }[];
  /** Epoch ms at which the effect began; undefined when it did not. */
  readonly begunAtMs: number | undefined;
  /** What the stage at which it waits still lacks. */
  readonly lacking: string | undefined;
}

const isUncovered = ({ ending }: Played): boolean => ending.outcome === 'not-covered';

function play(flow: Flow, record: RecordedRequest): Played {
  const passed = new Set<string>();
  const skipped = new Set<string>();
  const waived = new Set<string>();
  const decisions: { by: string; what: string; at: string; verdict: Verdict }[] = [];
  const selection = selectFlow([{ flow }], record.facts);
  if (!('found' in selection)) {
    const outcome = 'none' in selection && selection.none === 'guard-error' ? 'guard-error' : 'not-covered';
    return { ending: { outcome }, passed, skipped, waived, decisions, begunAtMs: undefined, lacking: undefined };
  }
  let begunAtMs: number | undefined;
  let isBegun = false;
  const watch = ({ audit, next }: Advance): void => {
    for (const { kind, data } of audit) {
      const stage = flow.stages.find(({ id }) => id === data['stage']);
      // Effects and notices follow from what was decided, and decide nothing.
      if (stage === undefined || 'effect' in stage || 'notify' in stage) continue;
      if (kind === 'request.stage-passed') passed.add(stage.id);
      if (kind === 'request.stage-skipped') skipped.add(stage.id);
      if (kind === 'request.stage-waived') waived.add(stage.id);
    }
    if (next.effects.length > 0 || next.state === 'completed') isBegun = true;
  };
  const openedMs = Date.parse(record.facts.now);
  const { early, later } = splitAtOpening(record.events, openedMs);
  const { facts, flowAuthor } = record;
  const world = new TestWorld({ flow, facts, flowAuthor, holds: early.map((event) => holdOf(event)), watch });
  const goOn = (): void => {
    // Noted first: the effect's own timers move the clock.
    if (isBegun) begunAtMs ??= world.nowMs;
    complete(world);
  };
  // A wait ends between two events: what begins then, begins at its own instant.
  const waitOut = (untilMs: number): void => {
    for (let endsMs = waitEndsMs(world); endsMs <= untilMs; endsMs = waitEndsMs(world)) {
      world.passTo(endsMs);
      goOn();
    }
  };
  goOn();
  for (const event of later) {
    waitOut(Date.parse(event.at));
    world.passTo(Date.parse(event.at));
    const verdict = offer(world, event);
    if (verdict !== undefined && 'decision' in event)
      decisions.push({ by: event.by.id, what: event.decision, at: event.at, verdict });
    if (verdict !== undefined && 'confirm' in event)
      decisions.push({ by: event.confirm.id, what: 'proof', at: event.at, verdict });
    goOn();
  }
  waitOut(Date.parse(record.until));
  world.passTo(Date.parse(record.until));
  goOn();
  // A wait is nobody's doing: what the record's end cut off of it would have gone by.
  if (record.ended !== undefined) waitOut(Number.MAX_SAFE_INTEGER);
  return { ending: endingOf(world), passed, skipped, waived, decisions, begunAtMs, lacking: lackingAt(world) };
}

/** Epoch ms at which the wait where the request stands is over, or its life; never, when it is at none. */
function waitEndsMs({ flow, stage, requestState, plan: { timer } }: TestWorld): number {
  const here = flow.stages.find(({ id }) => id === stage);
  const isAtWait = here !== undefined && 'wait' in here && requestState === 'evaluating';
  return isAtWait && timer !== undefined ? Date.parse(timer.dueAt) : Number.POSITIVE_INFINITY;
}

type FreezeEvent = Extract<RecordedEvent, { readonly freeze: string }>;

/** A freeze that is in force when the request is opened holds it from its first step on. */
function splitAtOpening(events: readonly RecordedEvent[], openedMs: number) {
  const isEarly = (event: RecordedEvent): event is FreezeEvent => 'freeze' in event && Date.parse(event.at) <= openedMs;
  return { early: events.filter(isEarly), later: events.filter((event) => !isEarly(event)) };
}

function holdOf({ freeze, mode = 'hold', at }: FreezeEvent): Hold {
  return { kind: 'freeze', id: freeze, by: 'a responder', since: at, mode };
}

/** @returns the verdict on what a person did; undefined for what happens to the request */
function offer(world: TestWorld, event: RecordedEvent): Verdict | undefined {
  if ('decision' in event) return world.decide(event.by, event.decision);
  if ('confirm' in event) return world.confirm(event.confirm, Date.parse(event.authenticatedAt));
  if ('pause' in event) return world.command(event.pause, 'pause');
  if ('resume' in event) return world.command(event.resume, 'resume', event.all);
  if ('cancel' in event) return world.command(event.cancel, 'cancel');
  if ('freeze' in event) world.freeze(event.freeze, event.mode);
  else if ('thaw' in event) world.thaw(event.thaw);
  else world.join(event.joined, event.onBehalfOf);
  return undefined;
}

function endingOf(world: TestWorld): Ending {
  const { reason, stage } = world;
  return {
    outcome: outcomeOf(world),
    ...(reason !== undefined && { reason }),
    ...(stage !== undefined && { stage }),
  };
}

function recordedEnding({ ended }: RecordedRequest): Ending | undefined {
  if (ended === undefined || !isFinalRequestState(ended.state)) return undefined;
  return { outcome: ended.state, ...(ended.reason !== undefined && { reason: ended.reason }) };
}

/** A cancel's reason is the person's own words; of the others it is part of what was decided. */
function isSameEnd(one: Ending, other: Ending): boolean {
  return one.outcome === other.outcome && (one.outcome === 'cancelled' || one.reason === other.reason);
}

function changesBetween(old: Played, now: Played): readonly string[] {
  const { ending: before } = old;
  const { ending: after } = now;
  const why: string[] = [];
  const isOpen = (outcome: string): boolean => outcome === 'waiting' || outcome === 'held';
  const hasMoved = isOpen(before.outcome) && isOpen(after.outcome) && before.stage !== after.stage;
  if (!isSameEnd(before, after) || hasMoved) why.push(`${inWords(before)} before, ${inWords(after)} now`);
  const lasting = why.length > 0 && now.lacking !== undefined ? [now.lacking] : [];
  why.push(...lasting, ...decisionsThatDiffer(old, now));
  if (old.begunAtMs !== undefined && now.begunAtMs !== undefined && old.begunAtMs !== now.begunAtMs)
    why.push(`the effect begins ${apart(now.begunAtMs - old.begunAtMs)}`);
  // By itself another path is no other decision: a notice more, a check more that everybody passes.
  return why.length === 0 ? why : [...why, ...pathsThatDiffer(old, now)];
}

function inWords({ outcome, reason, stage }: Ending): string {
  const at = stage === undefined || outcome === 'completed' ? '' : ` at ${stage}`;
  return `${outcome}${reason === undefined ? '' : ` (${reason})`}${at}`;
}

function decisionsThatDiffer(old: Played, now: Played): readonly string[] {
  return old.decisions.flatMap(({ by, what, at, verdict: before }, index) => {
    const after = now.decisions[index]?.verdict;
    if (after === undefined || before.accepted === after.accepted) return [];
    const decision = `${what} by ${by} at ${at}`;
    if (after.accepted) return [`${decision} counts now; before it was refused: ${before.accepted ? '' : before.slug}`];
    const isNoLongerAsked = ['request-closed', 'not-awaiting-approval', 'not-awaiting-proof'].includes(after.slug);
    return [`${decision} ${isNoLongerAsked ? 'is not asked for any more' : `is refused now: ${after.slug}`}`];
  });
}

function pathsThatDiffer(old: Played, now: Played): readonly string[] {
  const newly = (ids: ReadonlySet<string>, others: ReadonlySet<string>) => [...ids].filter((id) => !others.has(id));
  return [
    ...newly(now.skipped, old.skipped).map((id) => `stage ${id} is newly skipped`),
    ...newly(now.waived, old.waived).map((id) => `stage ${id} is newly waived`),
    ...newly(now.passed, old.passed).map((id) => `stage ${id} is newly passed`),
    ...newly(old.passed, now.passed)
      .filter((id) => !now.skipped.has(id) && !now.waived.has(id))
      .map((id) => `stage ${id} is passed no more`),
  ];
}

function apart(ms: number): string {
  return `${Math.abs(Math.round(ms / 1_000))} s ${ms < 0 ? 'earlier' : 'later'}`;
}

/** Who is still asked where the request waits, and how many of them have approved. */
function lackingAt(world: TestWorld): string | undefined {
  const stage = world.flow.stages.find(({ id }) => id === world.stage);
  if (stage === undefined || outcomeOf(world) !== 'waiting') return undefined;
  if ('stepUp' in stage) {
    const prover = proverAt(stage, world.ledgerFacts) ?? 'nobody who is known';
    return `stage ${stage.id} needs a proof: it asks for ${stage.stepUp.by}, who is ${prover}`;
  }
  if (!('approval' in stage)) return undefined;
  const asked = stage.approval.require.map(({ from, count }) => `${count} of ${from}`).join(' and ');
  const given = approversAt(world, stage).map(({ id }) => id);
  return `stage ${stage.id} needs another approver: it asks for ${asked}, and has ${given.join(', ') || 'nobody'}`;
}

function approversAt(world: TestWorld, { id }: ApprovalStage): readonly Approver[] {
  return world.ledgerFacts.decisions
    .filter(({ stage, verdict }) => stage === id && verdict === 'approve')
    .map(({ approver }) => approver);
}
