import type { Response } from 'express';
import type { PipelineRule, Role } from '../../configuration/configurationSchema.ts';
import { Problem } from '../problem.ts';

/** Who calls, once the token is verified and the directory asked. */
export interface Principal {
  /** A person's id (an e-mail address, or `person:` and 26 characters), `pipeline:<name>`, or `agent:<identity>`. */
  readonly id: string;
  /** `id`, and all ids of people that were merged into this one: whoever is compared with what is stored is any of them. */
  readonly ids: readonly string[];
  readonly kind: 'person' | 'pipeline' | 'agent';
  readonly groups: readonly string[];
  readonly roles: readonly Role[];
  /** Of a person's account that nobody vouches for: it reads, and gives safety commands (`takesUnvouched` of a route), no more. */
  readonly isUnvouched?: true;
  /** RFC 3339: when this person last signed in, if the token says so (`auth_time`, OpenID Connect Core 1.0 §2). */
  readonly authenticatedAt?: string;
  /** The person a pipeline's run acts for. */
  readonly onBehalfOf?: string;
  /** The identity that an agent is; absent for all others. */
  readonly identityId?: string;
  /** What a pipeline may do; absent for all others. */
  readonly may?: PipelineRule['may'];
}

/** Nobody: what routes open to anyone see. */
export const anonymousId = 'anonymous';
const anonymous: Principal = { id: anonymousId, ids: [], kind: 'person', groups: [], roles: [] };

/** Only `authenticate` may call this. */
export function setPrincipal(res: Response, principal: Principal): void {
  res.locals['principal'] = principal;
}

/** Allows a route without sign-in: health and documentation. */
export function setAnonymous(res: Response): void {
  setPrincipal(res, anonymous);
}

/** Who signed in, where that has happened yet: nobody else may be told of by name. */
export function principalIfAny(res: Response): Principal | undefined {
  return res.locals['principal'] as Principal | undefined;
}

/** Fails closed: a route that was mounted without `authenticate` refuses everyone. */
export function principalOf(res: Response): Principal {
  const principal = principalIfAny(res);
  if (principal === undefined) throw new Problem('unauthenticated', 'No sign-in took place for this route.');
  return principal;
}
