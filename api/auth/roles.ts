import { type Configuration, type Role, roleNames } from '../../configuration/configurationSchema.ts';
import { referenceTo } from '../../domain/groupReference.ts';

/**
 * The roles of an active person. A role belongs to whom tenure.yaml lists, by group or by an e-mail address that is this
 * person's id or nobody else's; a role that is not listed belongs to nobody, except `requester`, which then belongs to every person: asking decides nothing.
 */
export function rolesOf(
  person: { ids: readonly string[]; addresses: readonly string[]; groups: readonly string[] },
  roles: Configuration['roles'],
): readonly Role[] {
  const names = new Set([...person.ids, ...person.addresses, ...person.groups.map(referenceTo)]);
  return roleNames.filter((role) => {
    const members = roles[role];
    return members === undefined ? role === 'requester' : members.some((member) => names.has(member));
  });
}
