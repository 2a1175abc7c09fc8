/** State words of section 1 and the transitions that are allowed. PostgreSQL triggers hold the same table (prisma/migrations). */

export const credentialStates = ['minting', 'staged', 'current', 'retiring', 'destroying', 'destroyed'] as const;
export type CredentialState = (typeof credentialStates)[number];

export const credentialTransitions: Readonly<Record<CredentialState, readonly CredentialState[]>> = {
  minting: ['staged', 'destroying'],
  staged: ['current', 'destroying'],
  current: ['retiring', 'destroying'],
  // Back to current by rollback only.
  retiring: ['current', 'destroying'],
  destroying: ['destroyed'],
  destroyed: [],
};

export const identityStates = ['requested', 'active', 'revoking', 'revoked', 'rejected'] as const;
export type IdentityState = (typeof identityStates)[number];

export const identityTransitions: Readonly<Record<IdentityState, readonly IdentityState[]>> = {
  requested: ['active', 'rejected'],
  active: ['revoking'],
  revoking: ['revoked'],
  revoked: [],
  rejected: [],
};

export const requestStates = [
  'evaluating',
  'awaiting-approval',
  'awaiting-proof',
  'held',
  'executing',
  'awaiting-consumers',
  'stuck',
  'completed',
  'denied',
  'cancelled',
  'expired',
  'failed',
] as const;
export type RequestState = (typeof requestStates)[number];

export const finalRequestStates = [
  'completed',
  'denied',
  'cancelled',
  'expired',
  'failed',
] as const satisfies readonly RequestState[];

/** A final request takes no more events; it may still owe destroys (`owesDestroys`). */
export function isFinalRequestState(state: RequestState): boolean {
  return (finalRequestStates as readonly RequestState[]).includes(state);
}

/** A credential that is not committed: it counts for nothing and may be destroyed at any time. */
export const mintStates = ['minting', 'staged'] as const satisfies readonly CredentialState[];
