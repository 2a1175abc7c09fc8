import type { AdvanceResult } from './events.ts';
import type { Trigger } from './facts.ts';
import type { IdentityKind } from './language.ts';
import type { ReviewProposal } from './review.ts';

/** What `open` stores. Validated and authorised by the API (or made by the lifecycle) before it comes here. */
export interface OpenOrder {
  readonly kind: 'onboarding' | 'rotation' | 'revocation' | 'review';
  readonly requestId: string;
  readonly identityId: string;
  readonly principal: string;
  readonly principalKind: 'person' | 'pipeline' | 'system';
  readonly onBehalfOf?: string;
  readonly idempotencyKey: string;
  /** SHA-256 of the canonical body: the same key with another body is refused. */
  readonly bodyDigest: string;
  readonly trigger: Trigger;
  readonly justification: string;
  /** Onboarding only. */
  readonly subject?: NewSubject;
  /** Reviews only; left out, nothing but the attestation is asked for. */
  readonly proposal?: ReviewProposal;
}

export interface NewSubject {
  readonly kind: IdentityKind;
  readonly name: string;
  readonly environment: string;
  readonly ownerId: string;
  readonly purpose: string;
  readonly scopes: readonly string[];
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
      readonly identityId: string;
      readonly created: boolean;
    } & AdvanceResult)
  /** Nothing was written. */
  | { readonly opened: false; readonly slug: string; readonly detail: string; readonly runningRequestId?: string };
