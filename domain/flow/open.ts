import type { AgentPolicy, AgentRegistration } from '../agents.ts';
import type { StepUpAsk } from '../stepUp.ts';
import type { AdvanceResult } from './events.ts';
import type { RequesterKind, Trigger } from './facts.ts';
import type { IdentityKind } from './language.ts';
import type { ReviewProposal } from './review.ts';

/** What `open` stores. Validated and authorised by the API (or made by the lifecycle) before it comes here. */
export interface OpenOrder extends Asked {
  readonly kind: 'onboarding' | 'rotation' | 'revocation' | 'review';
  readonly identityId: string;
  /** Onboarding only. */
  readonly subject?: NewSubject;
  /** Onboardings and rotations of agents only: what the agent is to authenticate with. */
  readonly registration?: AgentRegistration;
  /** Rotations only: the completed review whose order to re-issue it carries out (ledger/reissue.ts). */
  readonly reissues?: string;
  /** Reviews only; left out, nothing but the attestation is asked for. */
  readonly proposal?: ReviewProposal;
}

/**
 * To publish what the ledger holds under this digest, and nothing else: the content never passes through Temporal, so that
 * access to Temporal can neither change it nor vouch for it.
 */
export interface PublicationOrder extends Asked {
  readonly kind: 'publication';
  readonly publication: string;
}

/** An agent asks for access. `principal` is that agent, and `identityId` its identity. */
export interface StepUpOrder extends Asked {
  readonly kind: 'step-up';
  readonly identityId: string;
  readonly stepUp: StepUpAsk;
}

export type RequestOrder = OpenOrder | StepUpOrder | PublicationOrder;

/** By what the workflow that drives a request is found. */
export type RequestTarget =
  | Pick<OpenOrder, 'kind' | 'identityId'>
  | Pick<StepUpOrder | PublicationOrder, 'kind' | 'requestId'>;

interface Asked {
  readonly requestId: string;
  readonly principal: string;
  readonly principalKind: RequesterKind;
  readonly onBehalfOf?: string;
  readonly idempotencyKey: string;
  /** SHA-256 of the canonical body: the same key with another body is refused. */
  readonly bodyDigest: string;
  readonly trigger: Trigger;
  readonly justification: string;
}

export interface NewSubject {
  readonly kind: IdentityKind;
  readonly name: string;
  readonly environment: string;
  readonly ownerId: string;
  readonly purpose: string;
  readonly scopes: readonly string[];
  /** Agents only: what the scopes come from. */
  readonly policy?: AgentPolicy;
  readonly integration: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly consumers: readonly string[];
  readonly expiresAt: string;
  readonly issuer: string;
  readonly store: string;
}

export type OpenResult =
  /** `created` is false when the same key, or a running rotation that was joined, already held the request. */
  | ({
      readonly opened: true;
      readonly requestId: string;
      /** Absent of a publication. */
      readonly identityId?: string;
      readonly created: boolean;
    } & AdvanceResult)
  /** Nothing was written. */
  | { readonly opened: false; readonly slug: string; readonly detail: string; readonly runningRequestId?: string };
