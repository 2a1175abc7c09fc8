import type { IdentityKind, RequestKind } from './language.ts';

/** What guards may read. Typed for CEL in `guards.ts`; every field is always present, so that no guard meets a missing fact by accident. */
export interface Facts {
  readonly subject: SubjectFacts;
  readonly owner: PersonFacts;
  readonly requester: RequesterFacts;
  /** The person a machine acts for; an empty id and `active: false` when nobody is known. */
  readonly onBehalfOf: PersonFacts;
  readonly request: { readonly kind: RequestKind; readonly trigger: Trigger; readonly justification: string };
  readonly risk: { readonly score: number };
  /** RFC 3339, UTC, the ledger's clock. */
  readonly now: string;
}

export const triggers = ['person', 'pipeline', 'schedule', 'incident', 'owner-change'] as const;
export type Trigger = (typeof triggers)[number];

export interface SubjectFacts {
  readonly id: string;
  readonly kind: IdentityKind;
  readonly name: string;
  readonly environment: string;
  readonly purpose: string;
  readonly integration: string;
  readonly scopes: readonly string[];
  readonly consumers: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339, UTC. */
  readonly expiresAt: string;
  readonly issuer: string;
  readonly store: string;
}

export interface PersonFacts {
  readonly id: string;
  readonly active: boolean;
  readonly groups: readonly string[];
}

export interface RequesterFacts extends PersonFacts {
  readonly kind: 'person' | 'pipeline' | 'system';
}
