import type { Flow, FlowException, RequestKind, Stage } from '../language.ts';
import type { Formula } from './formula.ts';

/** One way that a request can go: what `paths.ts` enumerates. */

export type StepOutcome =
  | { readonly is: 'skipped' }
  /** A responder's revocation does not wait for this stage. */
  | { readonly is: 'passed-over' }
  /** By one of these exceptions. */
  | { readonly is: 'waived'; readonly by: readonly FlowException[] }
  | { readonly is: 'verified' }
  | { readonly is: 'refused'; readonly reason: string }
  /** `when`, `that` or a weight of the risk cannot be evaluated: denied (promise 6). */
  | { readonly is: 'not-evaluated'; readonly guard: 'when' | 'that' | 'risk' }
  /** By a `stepUp` stage. */
  | { readonly is: 'proven' }
  | { readonly is: 'approved'; readonly escalated: boolean }
  | { readonly is: 'denied-by-approver' }
  | { readonly is: 'timed-out'; readonly result: 'deny' | 'expire' }
  | { readonly is: 'waited' }
  /** The life of the request ends before the stage's own time-out, or before its wait is over. */
  | { readonly is: 'request-timed-out' }
  | { readonly is: 'begun' }
  /** The identity has expired: nothing is issued for it any more. */
  | { readonly is: 'identity-expired' }
  /** The review would hand the identity to somebody who is not active. */
  | { readonly is: 'new-owner-not-active' }
  /** What is published is no longer what the publication was checked against. */
  | { readonly is: 'published-meanwhile' }
  /** The agent's approved policy does not cover what it asks for. */
  | { readonly is: 'outside-policy' }
  | { readonly is: 'notified' }
  /** After the effect, a notice whose `when` cannot be evaluated is passed over: what took effect is not denied. */
  | { readonly is: 'not-told' };

export interface PathStep {
  readonly stage: Stage;
  readonly outcome: StepOutcome;
}

export interface PathEnd {
  readonly state: 'completed' | 'denied' | 'expired';
  readonly reason?: string;
}

export interface FlowPath {
  /** The flow that governs; undefined when none does. */
  readonly flow?: Flow;
  readonly on: RequestKind;
  /** Up to where the request ends; stages after it are not reached. */
  readonly steps: readonly PathStep[];
  readonly end: PathEnd;
  /** All of them are true. */
  readonly conditions: readonly Formula[];
  /** With what reasons the request is still denied, until it commits, when what was verified no longer holds. */
  readonly askedAgain: readonly string[];
}
