import { durationMs } from './flow/duration.ts';
import type { IsoDuration } from './flow/language.ts';

/** How long a grant lives where neither flow nor policy says: short, since one that is verified offline lives that long. */
export const defaultGrantTtl: IsoDuration = 'PT10M';

/** Beyond it, a flow is not read: access that long is no grant any more. */
export const longestGrantTtl: IsoDuration = 'PT1H';

/** The longest life of a grant under a flow, for an agent of a policy: the shorter of what each allows. */
export function grantCeiling(
  { grantTtl = defaultGrantTtl }: { readonly grantTtl?: IsoDuration },
  policyTtl: IsoDuration | undefined,
): IsoDuration {
  return policyTtl !== undefined && durationMs(policyTtl) < durationMs(grantTtl) ? policyTtl : grantTtl;
}

/** What an agent asks for by a step-up. Stored with the request, shown to approvers, and bound into their decisions. */
export interface StepUpAsk {
  readonly tool: string;
  readonly action: string;
  readonly resource: string;
  readonly workspace: string;
  /** Of the tool, as tenure.yaml named it when it was asked for. */
  readonly audience: string;
  /** How long a life it wants for the grant; as long as it may have when left out. */
  readonly ttl?: IsoDuration;
  /** RFC 7638 thumbprint of the key that the grant is to be bound to (RFC 9449). */
  readonly jkt: string;
  /** Whether the person it acts for showed it by a token of their own (RFC 8693), or the agent only says so. */
  readonly isOnBehalfVerified: boolean;
  /** RFC 3339: when that person last signed in, as their token said. Only where they showed it. */
  readonly authenticatedAt?: string;
}
