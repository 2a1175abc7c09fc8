import type { RequestState } from '../states.ts';
import { applyChange, type Change } from './changes.ts';
import type { Flow, Stage } from './language.ts';
import type { EffectState, FlowState, LedgerFacts } from './state.ts';

/** What a step of the request leaves as evidence besides the changes themselves. */
export interface AuditEntry {
  readonly kind: string;
  readonly data: Readonly<Record<string, string | number | boolean | readonly string[]>>;
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

  enter(stage: number): void {
    const entry = stage > this.state.stage ? 1 : this.state.entry + 1;
    this.state = { ...this.state, stage, entry, enteredAt: instant(this.nowMs), escalated: false };
  }

  finish(state: 'completed' | 'denied' | 'cancelled' | 'expired' | 'failed', reason?: string): void {
    this.requestState = state;
    this.reason = reason;
    this.note('request.finished', { state, ...(reason === undefined ? {} : { reason }) });
    const { kind } = this.facts.request;
    if (kind === 'onboarding' && state !== 'completed' && this.facts.identity.state === 'requested') {
      this.change({ change: 'reject-identity' });
    }
  }
}

/** RFC 3339, UTC, milliseconds. */
export function instant(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
