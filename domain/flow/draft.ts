import { isFinalRequestState, type RequestState } from '../states.ts';
import { applyChange, type Change } from './changes.ts';
import type { Flow, Stage } from './language.ts';
import type { RiskContribution, Unassessable } from './risk.ts';
import { type EffectState, type FlowState, identityIn, type LedgerFacts, type LedgerIdentity } from './state.ts';

/** What a step of the request leaves as evidence besides the changes themselves. */
export interface AuditEntry {
  readonly kind: string;
  readonly data: Readonly<Record<string, string | number | boolean | readonly string[] | readonly RiskContribution[]>>;
}

/** One run of `advance` at work: the facts as its own changes have made them, and what it has decided so far. */
export class Draft {
  readonly flow: Flow;
  /** Epoch milliseconds, the ledger's clock. */
  readonly nowMs: number;
  facts: LedgerFacts;
  state: FlowState;
  requestState: RequestState;
  reason: string | undefined;
  /** Why the risk of this step is not known; undefined when it is. */
  unassessable: Unassessable | undefined;
  readonly changes: Change[] = [];
  readonly audit: AuditEntry[] = [];

  constructor(flow: Flow, state: FlowState, facts: LedgerFacts) {
    this.flow = flow;
    this.state = state;
    this.facts = facts;
    this.nowMs = Date.parse(facts.guardFacts.now);
    this.requestState = facts.request.state;
    this.reason = facts.request.reason;
  }

  get stage(): Stage | undefined {
    return this.flow.stages[this.state.stage];
  }

  /** The identity that the request is about. @throws TypeError for a publication, which has none */
  get identity(): LedgerIdentity {
    return identityIn(this.facts);
  }

  /** Ended, or its effect has taken effect: nothing that is known only now can prevent anything. */
  get isOver(): boolean {
    const { committedVersion, revoked } = this.state.effect;
    const effect = this.flow.stages.findIndex((stage) => 'effect' in stage);
    return (
      isFinalRequestState(this.requestState) || committedVersion !== undefined || revoked || this.state.stage > effect
    );
  }

  setScore(score: number): void {
    const { guardFacts } = this.facts;
    if (guardFacts.risk.score !== score) this.facts = { ...this.facts, guardFacts: { ...guardFacts, risk: { score } } };
  }

  change(change: Change): void {
    this.facts = applyChange(this.facts, change);
    this.changes.push(change);
  }

  note(kind: string, data: AuditEntry['data']): void {
    this.audit.push({ kind, data });
  }

  setEffect(edit: Partial<EffectState>): void {
    this.state = { ...this.state, effect: { ...this.state.effect, ...edit } };
  }

  /** Leaves out what is now undefined: an absent field says "not yet". */
  clearEffect(...fields: ('graceEndsAt' | 'graceCountedTo')[]): void {
    const entries = Object.entries(this.state.effect).filter(([field]) => !fields.includes(field as never));
    this.state = { ...this.state, effect: Object.fromEntries(entries) as unknown as EffectState };
  }

  /** Going back, what was waited for or waived from there on is asked for again. */
  enter(stage: number): void {
    const isBack = stage <= this.state.stage;
    const entry = isBack ? this.state.entry + 1 : 1;
    const passed = isBack ? this.#passedBefore(stage) : this.state;
    this.state = { ...passed, stage, entry, enteredAt: instant(this.nowMs), escalated: false };
  }

  #passedBefore(stage: number): FlowState {
    const { waited, waived, ...rest } = this.state;
    const before = this.flow.stages.slice(0, stage).map(({ id }) => id);
    return {
      ...rest,
      ...(waited && { waited: waited.filter((id) => before.includes(id)) }),
      ...(waived && { waived: waived.filter((waiver) => before.includes(waiver.stage)) }),
    };
  }

  finish(state: 'completed' | 'denied' | 'cancelled' | 'expired' | 'failed', reason?: string): void {
    this.requestState = state;
    this.reason = reason;
    this.note('request.finished', { state, ...(reason === undefined ? {} : { reason }) });
    const { kind } = this.facts.request;
    if (kind === 'onboarding' && state !== 'completed' && this.identity.state === 'requested') {
      this.change({ change: 'reject-identity' });
    }
  }
}

/** RFC 3339, UTC, milliseconds. */
export function instant(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
