import type { IsoDuration } from './flow/language.ts';

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
}
