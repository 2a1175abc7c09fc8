import type { Plan } from './plan.ts';

/** What may happen to a request. Ids come from content (DESIGN section 3), never from a counter. */
export type RequestEvent =
  | { readonly kind: 'nudge'; readonly id: 'nudge' }
  | { readonly kind: 'decision'; readonly id: string; readonly decision: SignedDecision }
  | { readonly kind: 'command'; readonly id: string; readonly command: Command }
  /** An attempt ended, or ran out of time. How it ended is in the ledger, or nowhere. */
  | { readonly kind: 'effect'; readonly id: string }
  | { readonly kind: 'timer'; readonly id: string };

export interface SignedDecision {
  /** Of the signed bytes (domain/decisionSignature.ts). Absent: the first. */
  readonly version?: 2;
  readonly id: string;
  readonly requestId: string;
  readonly stage: string;
  readonly revision: number;
  readonly approverId: string;
  /** `confirm` is a proof: this person, and exactly this. */
  readonly verdict: 'approve' | 'deny' | 'confirm' | 'withdraw';
  /** SHA-256 (hex) of exactly what was shown: of its case file; in the first version, of the review itself. */
  readonly digest: string;
  readonly comment: string;
  /** RFC 3339, the API's clock; informative: the ledger's clock decides. */
  readonly decidedAt: string;
  /** RFC 3339: when this person last signed in, by their provider's clock. Of proofs only. */
  readonly authenticatedAt?: string;
  readonly keyId: string;
  /** Ed25519, base64url. */
  readonly signature: string;
}

/**
 * Commands are authorised by the API before they become events; the ledger records who gave them. `byResponder` says that a
 * responder did: only they undo what an incident ordered, and left out nobody did.
 */
export type Command = { readonly by: string; readonly reason: string; readonly byResponder?: boolean } & (
  | { readonly do: 'pause' }
  /** `all` lifts every pause of the request; otherwise only the commander's own. */
  | { readonly do: 'resume'; readonly all: boolean }
  | { readonly do: 'cancel' }
  | { readonly do: 'retry' }
  | { readonly do: 'rollback' }
  | { readonly do: 'resolve'; readonly version: number }
  | { readonly do: 'amend'; readonly subject: AmendedSubject }
);

export interface AmendedSubject {
  readonly purpose?: string;
  readonly scopes?: readonly string[];
  readonly consumers?: readonly string[];
  readonly expiresAt?: string;
  readonly ownerId?: string;
}

/** The answer to an event: recorded with it, and returned again when the same event comes back. */
export type Verdict =
  | { readonly accepted: true }
  /** `slug` is a problem of domain/problems.ts. */
  | { readonly accepted: false; readonly slug: string; readonly detail: string };

export interface AdvanceResult {
  readonly verdict: Verdict;
  readonly plan: Plan;
}
