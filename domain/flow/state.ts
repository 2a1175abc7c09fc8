import type { AgentPolicy, AgentRegistration } from '../agents.ts';
import type { Approver, Parties } from '../decisions.ts';
import type { FreezeCause, FreezeMode } from '../freezeSelector.ts';
import type { CredentialState, IdentityState, RequestState } from '../states.ts';
import type { StepUpAsk } from '../stepUp.ts';
import type { Facts } from './facts.ts';
import type { IsoDuration, RequestKind } from './language.ts';
import type { OrderFacts } from './orders.ts';
import type { PublicationProposal } from './publication.ts';
import type { ReviewProposal } from './review.ts';
import type { Risk } from './risk.ts';

/** What `advance` keeps between events, because the ledger's facts alone do not tell it. Plain JSON. */
export interface FlowState {
  /** Index of the stage the request stands at; the number of stages when all are passed. */
  readonly stage: number;
  /** How often a stage was entered: an amendment or a lost quorum enters one again. */
  readonly entry: number;
  /** RFC 3339: when this stage was entered. */
  readonly enteredAt: string;
  readonly escalated: boolean;
  /** `wait` stages behind it, by id, that were waited through. Absent when none was. */
  readonly waited?: readonly string[];
  /** Stages behind it that an exception waived. Absent when none was. */
  readonly waived?: readonly Waiver[];
  /** As it was assessed last; absent without weights. */
  readonly risk?: Risk;
  readonly effect: EffectState;
}

export interface Waiver {
  readonly stage: string;
  /** The exception's id. */
  readonly exception: string;
  /** RFC 3339, as the flow has it. */
  readonly until: string;
}

export interface EffectState {
  /** The version this request made current; absent before commit. */
  readonly committedVersion?: number;
  /** The version that a rotation replaced. */
  readonly replacedVersion?: number;
  readonly rolledBack: boolean;
  /** RFC 3339: when the old credential retires without waiting for acknowledgements. Absent until the promote is recorded. */
  readonly graceEndsAt?: string;
  /** RFC 3339: holds that ended by then have been given back to the grace window. Absent until one was. */
  readonly graceCountedTo?: string;
  /** Revocation has begun: its transaction is done. */
  readonly revoked: boolean;
  /** The epoch whose tombstone the store was recorded to hold. */
  readonly quarantinedEpoch?: number;
  /** Freezes that refused its begin or commit, so that each is told once. */
  readonly refusedBy?: readonly string[];
  /** Mints that could not be completed, in a row. */
  readonly deadMints: number;
  /** By step (`create-v2`, `promote-e3`, …): how often it failed, and when it is tried again. */
  readonly retries: Readonly<Record<string, Retry>>;
}

export interface Retry {
  /** The attempt that is next; part of the effect's id. */
  readonly attempt: number;
  /** RFC 3339. */
  readonly retryAt: string;
  /** Why the last attempt failed; no secret. */
  readonly reason: string;
  readonly message: string;
}

export const initialFlowState = (now: string): FlowState => ({
  stage: 0,
  entry: 1,
  enteredAt: now,
  escalated: false,
  effect: { rolledBack: false, revoked: false, deadMints: 0, retries: {} },
});

/** Everything `advance` may read, gathered by the ledger under the row locks. */
export interface LedgerFacts {
  readonly request: {
    readonly id: string;
    readonly kind: RequestKind;
    readonly state: RequestState;
    readonly reason?: string;
    readonly revision: number;
    readonly flowDigest: string;
    /** As it was stored, whoever was merged since: this, `onBehalfOf` and `ownerId` are what decisions are bound to. */
    readonly requesterId: string;
    readonly onBehalfOf: string;
    /** The same of the owner; left out where nobody can have been merged. */
    readonly ownerId?: string;
    readonly createdAt: string;
    /** Reviews only. */
    readonly proposal?: ReviewProposal;
    /** Of an agent. */
    readonly policy?: AgentPolicy;
    /** Onboardings and rotations of agents only. */
    readonly registration?: AgentRegistration;
    /** Step-ups only. */
    readonly stepUp?: StepUpAsk;
    /** Publications only. */
    readonly publication?: PublicationProposal;
    /** Its evidence says that it was opened under another flow, or by somebody else: it was changed past Tenure. */
    readonly isAltered?: true;
  };
  /** Absent of a publication: it is about no identity. */
  readonly identity?: LedgerIdentity;
  /** Of a publication: the digest of everything that is published now. */
  readonly publishedSet?: string;
  /** Of the identity, not yet destroyed. */
  readonly credentials: readonly CredentialFacts[];
  /** What guards read; `now` in it is the ledger's clock. */
  readonly guardFacts: Facts;
  readonly parties: Parties;
  /** Of this request and revision, those that count, oldest first. */
  readonly decisions: readonly DecisionFacts[];
  /** The others that were not withdrawn. Absent where there are none. */
  readonly voidDecisions?: readonly VoidDecision[];
  readonly holds: readonly Hold[];
  /** Holds of this request that are over, since it was opened. They may overlap. */
  readonly endedHolds: readonly EndedHold[];
  /** Consumers that acknowledged the identity's present epoch. */
  readonly acknowledgedBy: readonly string[];
  /** Every re-issue that a review of the identity has ordered. */
  readonly reissues: readonly ReissueFacts[];
  readonly leaseMs: number;
  /** Orders of this request that are open. */
  readonly orders: readonly OrderFacts[];
}

/** A completed review's order to replace the credential (`ledger/reissue.ts`). */
export interface ReissueFacts {
  /** The review request that ordered it. */
  readonly id: string;
  /** Of the identity when it was ordered: delivered when a version above it is promoted. */
  readonly highestVersion: number;
  /** Neither delivered nor waived by a responder. */
  readonly isOwed: boolean;
  /** The rotation that carries it out, or did last; absent while there is none. */
  readonly carriedBy?: string;
}

export interface LedgerIdentity {
  readonly id: string;
  readonly state: IdentityState;
  readonly epoch: number;
  readonly highestVersion: number;
  /** Of agents whose policy says so: the longest life of a grant. */
  readonly grantTtl?: IsoDuration;
}

/**
 * The identity that a request is about.
 * @throws TypeError for a publication, which has none: a defect of the caller
 */
export function identityIn({ identity, request }: Pick<LedgerFacts, 'identity' | 'request'>): LedgerIdentity {
  if (identity !== undefined) return identity;
  throw new TypeError(
    `Request ${request.id} (${request.kind}) is about no identity: a defect of Tenure, please report it.`,
  );
}

export interface CredentialFacts {
  readonly version: number;
  readonly state: CredentialState;
  /** The request that minted it. */
  readonly requestId: string;
  readonly leaseEndsAt: string;
  readonly expiresAt?: string;
  readonly promotedEpoch?: number;
  /** RFC 3339; absent where the issuer cannot tell, or tells of none. */
  readonly lastUsedAt?: string;
  /** The issuer confirmed the destroy; final once the lease is over too. */
  readonly hasReceipt: boolean;
}

export interface DecisionFacts {
  readonly id: string;
  readonly stage: string;
  readonly verdict: 'approve' | 'deny' | 'confirm';
  /** RFC 3339. Of proofs only. */
  readonly authenticatedAt?: string;
  /** Of what was shown; of the first version's, absent. */
  readonly digest?: string;
  /** As the directory knows the approver now. */
  readonly approver: Approver;
}

/** Why a decision that was given, and not withdrawn, counts no more. */
export const voidReasons = [
  /** The request shows something else now. */
  'content-changed',
  /** No signature of this installation over what the row says. */
  'bad-signature',
  /** The request's evidence does not tell of it. */
  'not-in-evidence',
  /** The request's evidence tells of its withdrawal. */
  'withdrawn',
  /** Somebody who asked, by the request's evidence, is not among the requesters any more. */
  'requesters-altered',
  /** The request's evidence is not what was appended. */
  'evidence-altered',
] as const;
export type VoidReason = (typeof voidReasons)[number];

export interface VoidDecision {
  readonly id: string;
  readonly stage: string;
  readonly verdict: DecisionFacts['verdict'];
  readonly approverId: string;
  readonly because: VoidReason;
}

/** RFC 3339, both. */
export interface EndedHold {
  readonly since: string;
  readonly until: string;
}

/** A reason why a request may not go on. */
export type Hold =
  | { readonly kind: 'pause'; readonly id: string; readonly by: string; readonly since: string }
  | {
      readonly kind: 'freeze';
      readonly id: string;
      readonly by: string;
      readonly since: string;
      /** `hold` unless it says otherwise. */
      readonly mode?: FreezeMode;
      /** Why Tenure opened it by itself; absent when a responder did. */
      readonly cause?: FreezeCause;
      /** A responder ordered that whatever a review lets go from it is re-issued. */
      readonly ordersReissue?: boolean;
    };
