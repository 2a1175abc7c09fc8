import type { Response } from 'express';
import { dpopAlgorithms } from './dpopProof.ts';

/** What one call needs a grant for. */
export interface Need {
  readonly action: string;
  readonly resource: string;
  readonly workspace: string;
  /**
   * The agent must act for a person who showed it by a token of their own, not one that the agent only names; and, with a
   * number, who signed in at most so many seconds ago.
   */
  readonly person?: 'verified' | { readonly maxAgeSeconds: number };
}

/** RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3; none when the call carried no token at all. */
export type ChallengeError =
  | 'invalid_request'
  | 'invalid_token'
  | 'invalid_dpop_proof'
  | 'insufficient_scope'
  | 'insufficient_user_authentication';

const statusOf: Readonly<Record<ChallengeError, number>> = {
  invalid_request: 400,
  invalid_token: 401,
  invalid_dpop_proof: 401,
  insufficient_scope: 403,
  insufficient_user_authentication: 401,
};

/** Why a call is not let in, and what the client is told. */
export class Challenge extends Error {
  override readonly name = 'Challenge';
  readonly error: ChallengeError | undefined;
  constructor(error: ChallengeError | undefined, description: string, options?: ErrorOptions) {
    super(description, options);
    this.error = error;
  }
}

/** For whom the challenge speaks. */
export interface Challenger {
  readonly issuer: string;
  readonly tool: string;
  readonly resourceMetadata?: string;
}

/**
 * Answers with the challenge: the header for any client (RFC 9110 §11.6.1), the body for an agent. `step_up` is what to
 * send to its `endpoint`, with a justification; it is there when another grant would help, and not when a correct call would.
 */
export function sendChallenge(res: Response, challenge: Challenge, need: Need, challenger: Challenger): void {
  const { error, message } = challenge;
  const scope = `${challenger.tool}:${need.action}`;
  const parameters = {
    ...(error === undefined ? {} : { error, error_description: message }),
    scope,
    ...(error === 'insufficient_user_authentication' ? authenticationNeeded(need) : {}),
    algs: dpopAlgorithms.join(' '),
    ...(challenger.resourceMetadata === undefined ? {} : { resource_metadata: challenger.resourceMetadata }),
  };
  res
    .status(error === undefined ? 401 : statusOf[error])
    .set('Cache-Control', 'no-store')
    .set('WWW-Authenticate', `DPoP ${quoted(parameters)}`)
    .json({
      error: error ?? 'invalid_token',
      error_description: message,
      ...(error === 'invalid_request' || error === 'invalid_dpop_proof' ? {} : { step_up: stepUp(need, challenger) }),
    });
}

/** Nothing is known about the grant, so nobody is let in. */
export function sendUnavailable(res: Response, description: string): void {
  res
    .status(503)
    .set('Cache-Control', 'no-store')
    .set('Retry-After', '5')
    .json({ error: 'temporarily_unavailable', error_description: description });
}

function stepUp({ action, resource, workspace, person }: Need, { issuer, tool }: Challenger) {
  return {
    endpoint: `${issuer.replace(/\/$/, '')}/v1/step-ups`,
    tool,
    action,
    resource,
    workspace,
    ...(person === undefined ? {} : { on_behalf_of: 'token' }),
    ...(typeof person === 'object' ? { max_age: person.maxAgeSeconds } : {}),
  };
}

/** The `acr` of grants for a person who showed it. */
export const verifiedPerson = 'urn:tenure:acr:person';

/** RFC 9470 §3: what the person is to do, for the client to pass on to whoever signs them in. */
function authenticationNeeded({ person }: Need): Record<string, string> {
  return {
    acr_values: verifiedPerson,
    ...(typeof person === 'object' ? { max_age: String(person.maxAgeSeconds) } : {}),
  };
}

/** RFC 6750 §3: a quotation mark or a backslash may not stand between the quotation marks. */
function quoted(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}="${value.replaceAll(/["\\]/g, "'")}"`)
    .join(', ');
}
