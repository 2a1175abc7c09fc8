import { createSecretKey } from 'node:crypto';
import { caseFileOf, digestOfCaseFile } from '../caseFile.ts';
import type { Approver, Review } from '../decisions.ts';
import type { FreezeMode } from '../freezeSelector.ts';
import type { RequestState } from '../states.ts';
import type { StepUpAsk } from '../stepUp.ts';
import { type Advance, advance, type FlowEvent } from './advance.ts';
import { applyChange } from './changes.ts';
import type { Command, SignedDecision, Verdict } from './events.ts';
import type { Facts, PublicationFacts, StepUpRequestFacts } from './facts.ts';
import { endHolds } from './heldTime.ts';
import { reviewOf } from './judge.ts';
import type { Flow } from './language.ts';
import { answeredOrder, issuedId } from './orders.ts';
import type { EffectOrder, EffectOutcome, Plan } from './plan.ts';
import type { PublicationProposal } from './publication.ts';
import { riskOf } from './risk.ts';
import { type FlowState, type Hold, initialFlowState, type LedgerFacts } from './state.ts';

export interface TestWorldStart {
  readonly flow: Flow;
  /** At opening; the clock starts at their `now`. */
  readonly facts: Facts;
  readonly flowAuthor: string;
  /** In force before the request is opened. */
  readonly holds?: readonly Hold[];
  /** Is shown every step as it was taken. */
  readonly watch?: (step: Advance) => void;
}

/** Nobody's pseudonym outside such a world. */
const personKey = createSecretKey(Buffer.alloc(32));
const shownAs = (review: Review) => caseFileOf(personKey, review);

/**
 * One request in a world of its own: the ledger's part (facts, clock, holds) played in memory around the same `advance`
 * that runs in production. Issuers and stores answer only when told to.
 */
export class TestWorld {
  readonly flow: Flow;
  /** One line for each event: when, what, and where the request then stood. */
  readonly trace: string[] = [];
  private readonly startMs: number;
  private readonly watch: (step: Advance) => void;
  private facts: LedgerFacts;
  private state: FlowState;
  private next: Advance['next'] | undefined;

  constructor({ flow, facts, flowAuthor, holds = [], watch = () => undefined }: TestWorldStart) {
    this.flow = flow;
    this.watch = watch;
    this.startMs = Date.parse(facts.now);
    this.facts = { ...startOf(flow, facts, flowAuthor), holds };
    this.state = initialFlowState(facts.now);
    // A responder's revocation runs its transaction before its stages.
    const atOnce = flow.on === 'revocation' && facts.request.trigger === 'incident';
    this.take('opened', { kind: 'opened', id: atOnce ? 'opened-at-once' : 'opened', atOnce });
  }

  get requestState(): RequestState {
    return this.facts.request.state;
  }
  get reason(): string | undefined {
    return this.facts.request.reason;
  }
  /** The stage where the request stands or ended; undefined when all are passed. */
  get stage(): string | undefined {
    return this.flow.stages[this.state.stage]?.id;
  }
  /** Milliseconds since the Unix epoch. */
  get nowMs(): number {
    return Date.parse(this.facts.guardFacts.now);
  }
  /** As the last step left them. */
  get ledgerFacts(): LedgerFacts {
    return this.facts;
  }
  get plan(): Pick<Plan, 'effects' | 'timer'> {
    return this.next ?? { effects: [] };
  }

  /** At the stage where the request stands now. */
  decide(approver: Approver, verdict: 'approve' | 'deny' | 'withdraw'): Verdict {
    return this.give(approver, verdict);
  }

  /** Proves at the stage where the request stands now. @param signedInMs when that person signed in, epoch milliseconds */
  confirm(person: Approver, signedInMs: number): Verdict {
    return this.give(person, 'confirm', { authenticatedAt: new Date(signedInMs).toISOString() });
  }

  private give(
    approver: Approver,
    verdict: SignedDecision['verdict'],
    proof: Pick<SignedDecision, 'authenticatedAt'> = {},
  ): Verdict {
    const stage = this.flow.stages[this.state.stage];
    const review = reviewOf({ stage, facts: this.facts, state: this.shown() });
    const decision: SignedDecision = {
      version: 2,
      id: `decision-${this.trace.length}`,
      requestId: this.facts.request.id,
      stage: stage?.id ?? '',
      revision: this.facts.request.revision,
      approverId: approver.id,
      verdict,
      digest: digestOfCaseFile(shownAs(review).published),
      comment: '',
      decidedAt: this.facts.guardFacts.now,
      keyId: 'test',
      signature: '',
      ...proof,
    };
    const id = `decision:${decision.id}`;
    return this.take(`${verdict} by ${approver.id}`, { kind: 'decision', id, decision }, approver);
  }

  /** What somebody who looks now is shown of the risk: time alone may have changed it. */
  private shown(): Pick<FlowState, 'risk'> {
    if (this.flow.risk === undefined) return {};
    const risk = riskOf(this.flow, this.facts.guardFacts);
    return 'error' in risk ? this.state : { risk };
  }

  /** @param all whether a resume lifts every pause, not only the commander's own */
  command(by: string, name: 'pause' | 'resume' | 'cancel', all = false): Verdict {
    const given = { by, reason: 'a test' };
    const command: Command = name === 'resume' ? { ...given, do: name, all } : { ...given, do: name };
    return this.take(`${name} by ${by}`, { kind: 'command', id: `command:${this.trace.length}`, command });
  }

  freeze(id = 'freeze', mode: FreezeMode = 'hold'): void {
    const hold: Hold = { kind: 'freeze', id, by: 'a responder', since: this.facts.guardFacts.now, mode };
    this.facts = { ...this.facts, holds: [...this.facts.holds, hold] };
    this.take('freeze', { kind: 'nudge', id: 'nudge' });
  }

  /** @param id of the freeze that ends; every one when left out */
  thaw(id?: string): void {
    this.facts = endHolds(this.facts, (hold) => hold.kind === 'freeze' && (id === undefined || hold.id === id));
    this.take('thaw', { kind: 'nudge', id: 'nudge' });
  }

  /** Other flows are published than those that a publication was checked against. */
  publishMeanwhile(): void {
    this.facts = { ...this.facts, publishedSet: 'another' };
  }

  /** Somebody asks for the same, and is a requester from now on. */
  join(principal: string, onBehalfOf?: string): void {
    const { requesters, onBehalfOf: behind } = this.facts.parties;
    const parties = {
      ...this.facts.parties,
      requesters: [...new Set([...requesters, principal])],
      onBehalfOf: onBehalfOf === undefined ? behind : [...new Set([...behind, onBehalfOf])],
    };
    this.facts = { ...this.facts, parties };
    this.take(`${principal} joins`, { kind: 'nudge', id: 'nudge' });
  }

  /** Lets time pass; every timer that falls due fires at its instant. */
  wait(ms: number): void {
    this.passTo(this.nowMs + ms);
    this.take('time passed', { kind: 'nudge', id: 'nudge' });
  }

  /** The same up to an instant (epoch ms), and nothing else: what has passed already stays as it is. */
  passTo(untilMs: number): void {
    for (let due = this.dueTimer(untilMs); due !== undefined; due = this.dueTimer(untilMs)) this.fire(due);
    if (untilMs > this.nowMs) this.setClock(untilMs);
  }

  /** Fires the open timer at its instant, however far ahead. False when there is none. */
  fireTimer(): boolean {
    const { timer } = this.plan;
    if (timer !== undefined) this.fire(timer);
    return timer !== undefined;
  }

  /** Lets issuer and store carry out an order, and succeed. */
  succeed(order: EffectOrder): void {
    const answered = answeredOrder(order, this.successOf(order), this.facts.guardFacts.now);
    this.facts = { ...this.facts, orders: [answered] };
    this.take(`${order.activity} done`, { kind: 'effect', id: issuedId(answered.id, answered.nonce) });
    this.facts = { ...this.facts, orders: [] };
  }

  private setClock(epochMs: number): void {
    const now = new Date(epochMs).toISOString();
    this.facts = { ...this.facts, guardFacts: { ...this.facts.guardFacts, now } };
  }

  private dueTimer(untilMs: number): Plan['timer'] {
    const { timer } = this.plan;
    return timer !== undefined && Date.parse(timer.dueAt) <= untilMs ? timer : undefined;
  }

  private fire(timer: NonNullable<Plan['timer']>): void {
    this.setClock(Math.max(this.nowMs, Date.parse(timer.dueAt)));
    this.take('timer', { kind: 'timer', id: timer.id });
  }

  private successOf(order: EffectOrder): EffectOutcome {
    switch (order.activity) {
      case 'create':
        return { ok: true, result: { fingerprint: 'test' } };
      case 'promote':
        return { ok: true, result: { outcome: 'served' } };
      case 'quarantine':
        return { ok: true, result: {} };
      case 'destroy': {
        const at = this.facts.guardFacts.now;
        return { ok: true, result: { receipt: { method: 'tried', because: 'a test', at, stillUsable: [] } } };
      }
    }
  }

  private take(what: string, event: FlowEvent, approver?: Approver): Verdict {
    const { flow, state, facts } = this;
    // No signature: this world made the decision itself, a moment ago.
    const context = approver && { decisionContext: { approver, isGenuine: () => true, caseFileOf: shownAs } };
    const result = advance({ flow, state, event, facts, ...context });
    const changed = result.changes.reduce(applyChange, facts);
    const { reason: _earlier, ...request } = changed.request;
    const reason = result.reason === undefined ? {} : { reason: result.reason };
    this.facts = { ...changed, request: { ...request, ...reason, state: result.next.state } };
    this.state = result.state;
    this.next = result.next;
    this.watch(result);
    this.trace.push(this.lineOf(what, result.verdict));
    return result.verdict;
  }

  private lineOf(what: string, verdict: Verdict): string {
    const hours = Math.round((this.nowMs - this.startMs) / 36_000) / 100;
    const refusal = verdict.accepted ? '' : ` (refused: ${verdict.slug})`;
    const reason = this.reason === undefined ? '' : `, ${this.reason}`;
    return `+${hours}h ${what}${refusal} → ${this.requestState}${reason}${this.stage === undefined ? '' : ` at ${this.stage}`}`;
  }
}

/** Onboarding finds nothing yet; the others an active identity with one credential that is served. */
function startOf(flow: Flow, guardFacts: Facts, flowAuthor: string): LedgerFacts {
  const { now, requester, onBehalfOf } = guardFacts;
  const shared = {
    guardFacts,
    decisions: [],
    holds: [],
    endedHolds: [],
    acknowledgedBy: [],
    reissues: [],
    leaseMs: 60_000,
    orders: [],
  };
  const request = {
    id: 'test-request',
    kind: flow.on,
    state: 'evaluating',
    revision: 1,
    flowDigest: 'test',
    requesterId: requester.id,
    onBehalfOf: onBehalfOf.id,
    createdAt: now,
  } as const;
  const asked = { requesters: [requester.id], onBehalfOf: onBehalfOf.id === '' ? [] : [onBehalfOf.id], flowAuthor };
  if ('publication' in guardFacts) {
    const publication = proposalOfTest(guardFacts.publication);
    const { publishedSet } = publication;
    return { ...shared, request: { ...request, publication }, credentials: [], publishedSet, parties: asked };
  }
  const { subject, owner } = guardFacts;
  const isNew = flow.on === 'onboarding';
  const served = {
    version: 1,
    state: 'current',
    requestId: 'earlier-request',
    leaseEndsAt: now,
    expiresAt: subject.expiresAt,
    promotedEpoch: 1,
    hasReceipt: false,
  } as const;
  return {
    ...shared,
    request: { ...request, ...('tool' in guardFacts ? { stepUp: askOfTest(guardFacts) } : {}) },
    identity: {
      id: subject.id,
      state: isNew ? 'requested' : 'active',
      epoch: isNew ? 0 : 1,
      highestVersion: isNew ? 0 : 1,
    },
    credentials: isNew ? [] : [served],
    parties: { ...asked, ownerId: owner.id },
  };
}

/** What these facts say is asked for, bound to a key that no test looks at. */
function askOfTest({ tool: { name, ...tool }, delegation }: StepUpRequestFacts): StepUpAsk {
  return { tool: name, ...tool, audience: 'test', jkt: 'test', isOnBehalfVerified: delegation.isVerified };
}

/** What these facts say is published, with content that no test looks at. */
function proposalOfTest({
  names,
  isRollback,
  weakens,
  strengthens,
  changesDecisions,
}: PublicationFacts): PublicationProposal {
  return {
    digest: 'test',
    author: 'test',
    items: names.map((name) => ({ name, operation: 'onboarding', digest: 'test', replaces: null })),
    publishedSet: 'test',
    report: 'test',
    isRollback,
    weakens,
    weakening: [],
    strengthens,
    changesDecisions,
  };
}
