import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { expect } from 'vitest';
import { caseFileOf, digestOfCaseFile } from '../../../domain/caseFile.ts';
import { signDecision, signedByOneOf } from '../../../domain/decisionSignature.ts';
import type { Approver, Review } from '../../../domain/decisions.ts';
import { type Advance, advance, type FlowEvent } from '../../../domain/flow/advance.ts';
import { applyChange } from '../../../domain/flow/changes.ts';
import type { Command, SignedDecision, Verdict } from '../../../domain/flow/events.ts';
import { type IdentityRequestFacts, identityFactsOf, type Trigger } from '../../../domain/flow/facts.ts';
import { endHolds } from '../../../domain/flow/heldTime.ts';
import { reviewOf } from '../../../domain/flow/judge.ts';
import type { Flow, RequestKind, Stage } from '../../../domain/flow/language.ts';
import { answeredOrder, issuedId, type OrderFacts } from '../../../domain/flow/orders.ts';
import type { EffectOrder, EffectOutcome, Receipt } from '../../../domain/flow/plan.ts';
import {
  type FlowState,
  type Hold,
  identityIn,
  initialFlowState,
  type LedgerFacts,
  type LedgerIdentity,
} from '../../../domain/flow/state.ts';
import { exampleFacts } from './exampleFacts.ts';

const keys = generateKeyPairSync('ed25519');
const personKey = createSecretKey(Buffer.alloc(32));
const isGenuine = signedByOneOf({ personKey, verifying: new Map([['test', keys.publicKey]]) });
const shownAs = (review: Review) => caseFileOf(personKey, review);
/** What a decision on this names. */
export const digestOf = (review: Review): string => digestOfCaseFile(shownAs(review).published);

/** A flow of these stages, with short limits that are easy to count in. */
export function flowOf(on: Exclude<RequestKind, 'invocation' | 'publication'>, stages: readonly Stage[]): Flow {
  return {
    apiVersion: 'tenure/v1',
    kind: 'Flow',
    metadata: { name: 'tested', owner: 'security', description: 'made by a test' },
    on,
    subject: {},
    limits: { credentialTtl: 'P30D', requestTtl: 'P3D', grace: 'PT24H' },
    stages,
    tests: [],
  };
}

export const issue: Stage = { id: 'issue', effect: 'issue' };
export const rotate: Stage = { id: 'rotate', effect: 'rotate' };
export const revoke: Stage = { id: 'revoke', effect: 'revoke' };
export const review: Stage = { id: 'review', effect: 'review' };
export const ownership: Stage = { id: 'ownership', verify: { that: 'owner.active', otherwise: 'owner-not-valid' } };
/** The owner proves it, by a sign-in of the last five minutes. */
export const proof: Extract<Stage, { stepUp: unknown }> = {
  id: 'proof',
  stepUp: { method: 'session', by: 'owner', maxAge: 'PT5M' },
};
/** Two of security, with an escalation after 4 hours and a time-out after a day. */
export const security: Extract<Stage, { approval: unknown }> = {
  id: 'security',
  approval: {
    require: [{ from: 'group:security', count: 2 }],
    separation: ['requester', 'onBehalfOf', 'owner'],
    proof: 'session',
    escalate: { after: 'PT4H', to: 'group:lead' },
    timeout: { after: 'P1D', result: 'deny' },
  },
};

/** `rui` asks, `ola` owns, `ann` wrote the flow; all are in security, so that only separation keeps them from deciding. */
export const everybody: readonly Approver[] = [
  ...['rui', 'ola', 'ann', 'sam', 'sue', 'sid'].map((id) => ({ id, active: true, groups: ['security'] })),
  { id: 'lea', active: true, groups: ['lead'] },
  { id: 'tom', active: true, groups: ['team'] },
];

export const secondMs = 1_000;
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** The facts of a request on an identity: there is one, and it has an owner. */
export type PlayedFacts = LedgerFacts & {
  readonly identity: LedgerIdentity;
  readonly guardFacts: IdentityRequestFacts;
  readonly parties: { readonly ownerId: string };
};

/** What a test sees of one step. */
export interface Step {
  readonly event: FlowEvent;
  /** Facts and state as the step found them. */
  readonly facts: PlayedFacts;
  readonly state: FlowState;
  readonly result: Advance;
  /** Facts as its changes left them. */
  readonly after: PlayedFacts;
}

/**
 * One request, with the ledger's part played in memory as DESIGN section 3 tells it: known events are not judged again,
 * everyone is as the directory knows them now. Every step is taken twice from frozen inputs, so that a difference or a
 * write to them fails whichever test runs.
 */
export class PlayedRequest {
  readonly flow: Flow;
  readonly people = new Map(everybody.map((person) => [person.id, person]));
  readonly steps: Step[] = [];
  /** Every order that was ever given. */
  readonly orders = new Map<string, EffectOrder>();
  facts: PlayedFacts;
  #state: FlowState;
  readonly #answered = new Map<string, Verdict>();
  #decisions = 0;

  constructor(flow: Flow, { trigger = 'person', atOnce = false }: { trigger?: Trigger; atOnce?: boolean } = {}) {
    this.flow = flow;
    this.facts = beginning(flow, trigger);
    this.#state = initialFlowState(this.facts.guardFacts.now);
    this.take({ kind: 'opened', id: atOnce ? 'opened-at-once' : 'opened', atOnce });
  }

  get last(): Step {
    const step = this.steps.at(-1);
    if (step === undefined) throw new Error('nothing has happened');
    return step;
  }
  get plan(): Advance['next'] {
    return this.last.result.next;
  }
  get state(): FlowState {
    return this.#state;
  }
  get nowMs(): number {
    return Date.parse(this.facts.guardFacts.now);
  }
  /** What is ordered now, in short: `create-v1`. */
  get ordered(): readonly string[] {
    return this.plan.effects.map(({ id }) => id.slice(id.lastIndexOf('/') + 1));
  }
  get credentials(): readonly string[] {
    return this.facts.credentials.map(({ version, state }) => `v${version} ${state}`);
  }

  /** Proves at the stage where the request stands, by a sign-in that is so old. */
  confirm(by: string, ageMs = 0, change: Partial<SignedDecision> = {}): Verdict {
    return this.decide(by, 'confirm', { authenticatedAt: new Date(this.nowMs - ageMs).toISOString(), ...change });
  }

  decide(by: string, verdict: SignedDecision['verdict'], change: Partial<SignedDecision> = {}): Verdict {
    this.#decisions += 1;
    const stage = this.flow.stages[this.#state.stage];
    const unsigned = {
      id: `d${this.#decisions}`,
      requestId: this.facts.request.id,
      stage: stage?.id ?? '',
      revision: this.facts.request.revision,
      approverId: by,
      verdict,
      digest: digestOf(reviewOf({ stage, facts: this.facts, state: this.#state })),
      comment: '',
      decidedAt: this.facts.guardFacts.now,
      keyId: 'test',
      ...change,
    };
    const decision = signDecision(unsigned, { personKey, privateKey: keys.privateKey });
    return this.take({ kind: 'decision', id: `decision:${decision.id}`, decision: { ...decision, ...change } });
  }

  command(command: Command): Verdict {
    return this.take({ kind: 'command', id: `command:${this.steps.length}`, command });
  }

  /** The ordered effect ends so. */
  answer(step: string, outcome: EffectOutcome | 'done'): void {
    const order = this.plan.effects.find(({ id }) => id.endsWith(`/${step}`));
    if (order === undefined) throw new Error(`${step} is not ordered; ${this.ordered.join(', ') || 'nothing'} is`);
    this.answerOrder(order, outcome);
  }

  answerOrder(order: EffectOrder, outcome: EffectOutcome | 'done'): void {
    const answer = outcome === 'done' ? this.successOf(order) : outcome;
    this.tellOf(answeredOrder(order, answer, this.facts.guardFacts.now));
  }

  /** Temporal tells that the attempt ended; what the activity recorded of it is in the facts, if anything. */
  tellOf(order: OrderFacts): void {
    this.facts = { ...this.facts, orders: [order] };
    this.take({ kind: 'effect', id: issuedId(order.id, order.nonce) });
    this.facts = { ...this.facts, orders: [] };
  }

  /** Every ordered effect succeeds, and whatever that leads to, until nothing is ordered. */
  settle(): void {
    for (let [order] = this.plan.effects; order !== undefined; [order] = this.plan.effects)
      this.answerOrder(order, 'done');
  }

  nudge(): void {
    this.take({ kind: 'nudge', id: 'nudge' });
  }

  /** Time passes and nothing else: timers that fall due stay silent, as under a lost workflow. */
  passTime(ms: number): void {
    this.facts = withNow(this.facts, this.nowMs + ms);
  }

  /** The open timer fires, at its instant. Returns false when there is none. */
  fireTimer(): boolean {
    const { timer } = this.plan;
    if (timer === undefined) return false;
    this.facts = withNow(this.facts, Math.max(this.nowMs, Date.parse(timer.dueAt)));
    this.take({ kind: 'timer', id: timer.id });
    return true;
  }

  hold(kind: Hold['kind'], by: string): void {
    const hold = { kind, id: `${kind}-${by}`, by, since: this.facts.guardFacts.now };
    this.facts = { ...this.facts, holds: [...this.facts.holds, hold] };
  }

  thaw(): void {
    this.facts = endHolds(this.facts, ({ kind }) => kind === 'freeze');
  }

  edit(change: (facts: PlayedFacts) => PlayedFacts): void {
    this.facts = change(this.facts);
  }

  person(id: string, change: Partial<Approver>): void {
    this.people.set(id, { ...this.personOf(id), ...change });
  }

  take(event: FlowEvent): Verdict {
    const known = this.#answered.get(event.id);
    const applied: FlowEvent = known === undefined ? event : { kind: 'nudge', id: 'nudge' };
    const facts = deepFrozen(this.#gathered());
    const state = deepFrozen(this.#state);
    const context =
      applied.kind === 'decision'
        ? { decisionContext: { approver: this.personOf(applied.decision.approverId), isGenuine, caseFileOf: shownAs } }
        : applied.kind === 'command' && applied.command.do === 'amend'
          ? { amendmentCheck: { obstacle: undefined } }
          : {};
    const run = () => advance({ flow: deepFrozen(this.flow), state, event: applied, facts, ...context });
    const result = run();
    expect(run()).toEqual(result);
    const changed = result.changes.reduce(applyChange, facts as LedgerFacts);
    const { reason: _earlier, ...request } = changed.request;
    const reason = result.reason === undefined ? {} : { reason: result.reason };
    const after = asPlayed({ ...changed, request: { ...request, ...reason, state: result.next.state } });
    this.steps.push({ event: applied, facts, state, result, after });
    this.facts = after;
    this.#state = result.state;
    for (const order of result.next.effects) this.orders.set(order.id, order);
    if (result.isRecorded && applied.kind !== 'nudge') this.#answered.set(event.id, result.verdict);
    return known ?? result.verdict;
  }

  successOf(order: EffectOrder): EffectOutcome {
    switch (order.activity) {
      case 'create':
        return { ok: true, result: { fingerprint: 'f' } };
      case 'promote':
        return { ok: true, result: { outcome: 'served' } };
      case 'quarantine':
        return { ok: true, result: {} };
      case 'destroy': {
        const receipt: Receipt = { method: 'tried', because: 'test', at: this.facts.guardFacts.now, stillUsable: [] };
        return { ok: true, result: { receipt } };
      }
    }
  }

  personOf(id: string): Approver {
    return this.people.get(id) ?? { id, active: false, groups: [] };
  }

  /** As `gatherFacts` does: the directory, not the past, says who is active and in which groups. */
  #gathered(): PlayedFacts {
    const { guardFacts, parties, decisions } = this.facts;
    return {
      ...this.facts,
      guardFacts: { ...guardFacts, owner: this.personOf(parties.ownerId) },
      decisions: decisions.map((decision) => ({ ...decision, approver: this.personOf(decision.approver.id) })),
    };
  }
}

export const failed = (reason: string): EffectOutcome => ({ ok: false, reason, message: 'a test' });

/** No change takes its identity away. */
function asPlayed(facts: LedgerFacts): PlayedFacts {
  const { ownerId } = facts.parties;
  if (ownerId === undefined) throw new Error('the owner is gone');
  const parties = { ...facts.parties, ownerId };
  return { ...facts, identity: identityIn(facts), guardFacts: identityFactsOf(facts.guardFacts), parties };
}

function withNow(facts: PlayedFacts, epochMs: number): PlayedFacts {
  return { ...facts, guardFacts: { ...facts.guardFacts, now: new Date(epochMs).toISOString() } };
}

/** Onboarding finds a new identity; the others an active one whose first credential is served under epoch 1. */
function beginning(flow: Flow, trigger: Trigger): PlayedFacts {
  const { now, subject } = exampleFacts;
  const isNew = flow.on === 'onboarding';
  const served = {
    version: 1,
    state: 'current',
    requestId: 'earlier',
    leaseEndsAt: now,
    expiresAt: subject.expiresAt,
    promotedEpoch: 1,
    hasReceipt: false,
  } as const;
  return {
    request: {
      id: 'request',
      kind: flow.on,
      state: 'evaluating',
      revision: 1,
      flowDigest: 'digest',
      requesterId: 'rui',
      onBehalfOf: '',
      createdAt: now,
    },
    identity: {
      id: subject.id,
      state: isNew ? 'requested' : 'active',
      epoch: isNew ? 0 : 1,
      highestVersion: isNew ? 0 : 1,
    },
    credentials: isNew ? [] : [served],
    guardFacts: {
      ...{ ...exampleFacts, request: { kind: flow.on, trigger, justification: '' } },
      requester: { ...exampleFacts.requester, id: 'rui' },
    },
    parties: { requesters: ['rui'], onBehalfOf: [], ownerId: 'ola', flowAuthor: 'ann' },
    decisions: [],
    holds: [],
    endedHolds: [],
    orders: [],
    acknowledgedBy: [],
    reissues: [],
    leaseMs: 60_000,
  };
}

/** Frozen once; parts are shared between steps. */
function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFrozen(part);
  return Object.freeze(value);
}
