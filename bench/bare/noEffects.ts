import type { Issuer } from '../../activities/issuers/issuer.ts';
import type { Store } from '../../activities/stores/store.ts';

/** Nothing happens at the issuer, at once: for rows that measure what is around it. */
export function noIssuance(real: Issuer): Issuer {
  return { ...real, create: async () => {}, extend: async () => {}, prove: async () => 'accepted' };
}

/** Nothing happens at the store, at once. */
export function noStorage(real: Store): Store {
  return { ...real, stage: async ({ value }) => value, readStaged: async () => 'unread', promote: async () => {} };
}
