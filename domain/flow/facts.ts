import type { IdentityKind, RequestKind } from './language.ts';

/**
 * What guards may read, by what the request is about. Typed for CEL in `guards.ts`; every field is always present, so that no
 * guard meets a missing fact by accident.
 */
export type Facts = IdentityRequestFacts | StepUpRequestFacts | PublicationRequestFacts;

/** Of a request on an identity. */
export interface IdentityRequestFacts extends SharedFacts {
  readonly subject: SubjectFacts;
  readonly owner: PersonFacts;
}

/** Of a step-up: the subject is the agent that asks. */
export interface StepUpRequestFacts extends IdentityRequestFacts {
  readonly tool: ToolFacts;
  readonly policy: PolicyFacts;
  readonly delegation: DelegationFacts;
}

/** Of a request that changes the published flows: it has no identity, and nobody owns it. */
export interface PublicationRequestFacts extends SharedFacts {
  readonly publication: PublicationFacts;
}

/** Of every request. */
export interface SharedFacts {
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

/** What an agent asks for. */
export interface ToolFacts {
  /** Of `tools` in tenure.yaml. */
  readonly name: string;
  readonly action: string;
  readonly resource: string;
  readonly workspace: string;
}

/** What the agent's approved policy says of it; each says more than the one before, and all are of one rule. */
export interface PolicyFacts {
  /** The tool and the action, and the identity has their scope still. */
  readonly coversAction: boolean;
  /** The same, on this resource. */
  readonly coversResource: boolean;
  /** The same, in this workspace. */
  readonly coversWorkspace: boolean;
}

export interface DelegationFacts {
  /** The person it acts for showed it by a token of their own (RFC 8693); otherwise the agent only says so. */
  readonly isVerified: boolean;
}

/** What a publication would change, as the check that it is bound to found it. */
export interface PublicationFacts {
  /** Of the flows, and `invariants` where those change. */
  readonly names: readonly string[];
  /** On which operations they are; `invariants` for those. */
  readonly operations: readonly string[];
  /** Everything in it was published before. */
  readonly isRollback: boolean;
  /** Flows that are published no more. */
  readonly retires: number;
  /** Changes that let more through (domain/flow/analysis/diff.ts), and those that let less through. */
  readonly weakens: number;
  readonly strengthens: number;
  /** Recorded requests that would be decided otherwise, of those that were played. */
  readonly changesDecisions: number;
}

/**
 * The facts of a request on an identity.
 * @throws TypeError for a publication, which has no subject: whoever asks has mistaken the kind of the request
 */
export function identityFactsOf(facts: Facts): IdentityRequestFacts | StepUpRequestFacts {
  if ('subject' in facts) return facts;
  throw new TypeError(`A ${facts.request.kind} has no subject: a defect of Tenure, please report it.`);
}

export interface PersonFacts {
  readonly id: string;
  readonly active: boolean;
  readonly groups: readonly string[];
}

export interface RequesterFacts extends PersonFacts {
  readonly kind: RequesterKind;
}

export const requesterKinds = ['person', 'pipeline', 'system', 'agent'] as const;
export type RequesterKind = (typeof requesterKinds)[number];
