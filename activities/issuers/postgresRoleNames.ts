import { partsOfHandle } from './handle.ts';

/** How handles, role names and tags belong together. Role names are derived, never stored, and always fit in 63 bytes. */
export interface RoleNames {
  readonly handle: string;
  readonly identityId: string;
  readonly version: number;
  /** NOLOGIN, one per identity: owns everything that its credentials make. */
  readonly owner: string;
  /** LOGIN, one per credential version: a member of the owner. */
  readonly login: string;
}

// PostgreSQL cuts longer names at 63 bytes, which would make two roles one: these patterns cannot reach that.
const identityPattern = /^[a-z2-7]{26}$/;

/** The names of a handle (`<identity id>-v<version>`), undefined when it is not one of this issuer's form. */
export function namesOfHandle(handle: string): RoleNames | undefined {
  const parts = partsOfHandle(handle);
  if (parts === undefined) return undefined;
  const owner = `tenure_${parts.identityId}`;
  return { handle, ...parts, owner, login: `${owner}_v${parts.version}` };
}

/** The owning role of an identity, undefined when the id is not 26 characters of lower-case base32 (RFC 4648). */
export function ownerNameOf(identityId: string): string | undefined {
  return identityPattern.test(identityId) ? `tenure_${identityId}` : undefined;
}

/** The comment that says whose a role is: only roles with exactly this comment are listed or touched (promise 11). */
export function tagOf(installationId: string, handleOrIdentityId: string): string {
  return `${tagPrefix(installationId)}${handleOrIdentityId}`;
}

export function tagPrefix(installationId: string): string {
  return `tenure:${installationId}:`;
}

/** How the tags of one identity's credentials begin; its owning role's does not. */
export function credentialTagPrefix(installationId: string, identityId: string): string {
  return `${tagPrefix(installationId)}${identityId}-v`;
}

/** The handle in a tag of this installation; undefined for owners' tags and for everybody else's comments. */
export function handleInTag(installationId: string, tag: string): RoleNames | undefined {
  const prefix = tagPrefix(installationId);
  return tag.startsWith(prefix) ? namesOfHandle(tag.slice(prefix.length)) : undefined;
}
