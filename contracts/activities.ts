import type { AdvanceResult, RequestEvent } from './events.ts';
import type { OpenResult, RequestOrder } from './open.ts';
import type {
  CreateInput,
  CreateResult,
  DestroyInput,
  DestroyResult,
  PromoteInput,
  PromoteResult,
  QuarantineInput,
} from './plan.ts';

/** Local activities: one ledger transaction each. */
export interface LedgerActivities {
  /** Idempotency: (principal, Idempotency-Key). Stores the request, or says why not. */
  open(order: RequestOrder): Promise<OpenResult>;
  /** Idempotency: the event's id. */
  advance(input: { requestId: string; event: RequestEvent }): Promise<AdvanceResult>;
}

/**
 * Remote activities: one effect each, on an issuer or a store. What came of it stands in the ledger, under the order's nonce;
 * the answer is empty, since what comes through Temporal may have been said by anybody who has access to it.
 */
export interface IssuanceActivities {
  create(input: CreateInput): Promise<Record<string, never>>;
  promote(input: PromoteInput): Promise<Record<string, never>>;
  quarantine(input: QuarantineInput): Promise<Record<string, never>>;
  destroy(input: DestroyInput): Promise<Record<string, never>>;
}

/** The effects themselves, for whoever calls them past Temporal. */
export interface Effects {
  create(input: CreateInput): Promise<CreateResult>;
  promote(input: PromoteInput): Promise<PromoteResult>;
  quarantine(input: QuarantineInput): Promise<Record<string, never>>;
  destroy(input: DestroyInput): Promise<DestroyResult>;
}

export interface LifecycleActivities {
  /** One bounded batch of due work, started or nudged; returns how many rows it handled. */
  runDueWork(): Promise<{ handled: number }>;
}

export type Activities = LedgerActivities & IssuanceActivities & LifecycleActivities;
