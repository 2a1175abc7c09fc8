import type { RequestState } from '../states.ts';

/** What a workflow must carry out next. Made by `advance`; holds no secret and nothing that a query needs. */
export interface Plan {
  readonly requestId: string;
  /** Grows with each applied event: a plan with a lower one than seen is stale and ignored. */
  readonly sequence: number;
  readonly state: RequestState;
  /** True when the request is final and owes no destroys: the workflow ends. */
  readonly done: boolean;
  readonly effects: readonly EffectOrder[];
  /** The earliest open timer only: later ones are armed when it has fired, so that each costs its events once. */
  readonly timer?: TimerOrder;
  /** One line for operators in the Temporal UI. */
  readonly summary: string;
}

/**
 * `effect:<stage>/<attempt>/<step>`: the same id is the same order, whoever asks again. As the ledger issues it, id and input
 * carry its nonce too (orders.ts).
 */
export type EffectOrder =
  | { readonly id: string; readonly activity: 'create'; readonly input: CreateInput }
  | { readonly id: string; readonly activity: 'promote'; readonly input: PromoteInput }
  | { readonly id: string; readonly activity: 'quarantine'; readonly input: QuarantineInput }
  | { readonly id: string; readonly activity: 'destroy'; readonly input: DestroyInput };

/** `timer:<stage>/<entry>/<dueAt>`; `dueAt` is RFC 3339 on the ledger's clock. */
export interface TimerOrder {
  readonly id: string;
  readonly dueAt: string;
  /** How long from the moment the plan was made, so that the workflow needs no clock in common with the ledger. */
  readonly delayMs: number;
}

/** The ledger's name for this one order: an activity reads there what it is about. Absent in histories from before orders had one. */
export interface Ordered {
  readonly nonce?: string;
}

export interface CreateInput extends Ordered {
  readonly identityId: string;
  readonly version: number;
  readonly leaseEndsAt: string;
  /** Half the lease: the activity's schedule-to-close. */
  readonly timeoutMs: number;
}
export interface CreateResult {
  /** Keyed hash of the secret: tells two secrets apart and nothing else. */
  readonly fingerprint: string;
}

export interface PromoteInput extends Ordered {
  readonly identityId: string;
  readonly version: number;
  readonly epoch: number;
}
/** Superseded: a newer epoch won, or the credential is being destroyed; nothing was written. */
export interface PromoteResult {
  readonly outcome: 'served' | 'superseded';
}

export interface QuarantineInput extends Ordered {
  readonly identityId: string;
  readonly epoch: number;
}

export interface DestroyInput extends Ordered {
  readonly identityId: string;
  readonly version: number;
}

/** How a receipt's `because` begins when a person vouched for the destroy; the person's reason follows. */
export const resolvedByHand = 'resolved by a person: ';

export type ReceiptMethod = 'tried' | 'absent' | 'unverifiable';
/** Promise 10. */
export interface Receipt {
  readonly method: ReceiptMethod;
  /** What was done and seen, in words, without any secret. */
  readonly because: string;
  /** RFC 3339: when the credential stopped being usable, as far as we know. */
  readonly at: string;
  /** What can still be used and until when; empty when nothing. */
  readonly stillUsable: readonly { readonly what: string; readonly until: string }[];
}
export interface DestroyResult {
  readonly receipt: Receipt;
}

/** How a step ended, as its activity recorded it in the ledger. `reason` is a problem slug or an error name, `message` is for people; neither holds a secret. */
export type EffectOutcome =
  | { readonly ok: true; readonly result: CreateResult | PromoteResult | DestroyResult | Record<string, never> }
  | { readonly ok: false; readonly reason: string; readonly message: string };
