import type { Role } from '../../configuration/configurationSchema.ts';
import { Problem } from '../problem.ts';
import type { Principal } from './principal.ts';

/** Who may act on one object: everyone with one of the roles, and the principals that it concerns. */
export interface Standing {
  readonly roles: readonly Role[];
  readonly principals: readonly string[];
}

/**
 * Asked after the object was found, before anything is written.
 * @param act what is to be done, as an end of "may not …"
 * @throws Problem `forbidden`
 */
export function requireStanding(principal: Principal, act: string, { roles, principals }: Standing): void {
  if (principals.some((id) => principal.ids.includes(id)) || roles.some((role) => principal.roles.includes(role)))
    return;
  const who = ['those it concerns', ...roles.map((role) => `the role ${role}`)].join(' or ');
  throw new Problem('forbidden', `${principal.id} may not ${act}: that is for ${who}. Ask one of them.`);
}
