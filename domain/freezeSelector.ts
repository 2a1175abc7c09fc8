/**
 * What a freeze selects: every subject that any of its lists names, so that a list more freezes more. Labels are written
 * `key=value`; a flow version is its digest, and selects whom an open request or a live credential binds to it.
 */
export interface FreezeSelector {
  readonly identityIds: readonly string[];
  readonly integrations: readonly string[];
  readonly ownerIds: readonly string[];
  readonly issuers: readonly string[];
  readonly stores: readonly string[];
  readonly environments: readonly string[];
  /** Identities of kind `connector`: an id of another kind selects nothing here. */
  readonly connectorIds: readonly string[];
  readonly flowDigests: readonly string[];
  readonly labels: readonly string[];
}

/** `hold`: open requests wait; `cancel`: those that have not committed end. */
export const freezeModes = ['hold', 'cancel'] as const;
export type FreezeMode = (typeof freezeModes)[number];

/** The first word of a system freeze's cause: why Tenure opened it by itself. */
export const freezeCauses = ['owner-gone', 'review-missed'] as const;
export type FreezeCause = (typeof freezeCauses)[number];

/** Lists that are not given select nothing. */
export function freezeSelector(given: Partial<FreezeSelector>): FreezeSelector {
  const { identityIds = [], integrations = [], ownerIds = [], issuers = [], stores = [] } = given;
  const { environments = [], connectorIds = [], flowDigests = [], labels = [] } = given;
  return { identityIds, integrations, ownerIds, issuers, stores, environments, connectorIds, flowDigests, labels };
}

/** What a selector names, list by list, without the empty ones: for evidence and for people. */
export function namedBy(selector: FreezeSelector): Partial<Record<keyof FreezeSelector, string[]>> {
  const lists = Object.entries(freezeSelector(selector)).filter(([, list]) => list.length > 0);
  return Object.fromEntries(lists.map(([name, list]) => [name, [...list]]));
}

/** What a preview and a confirmation say of a selector. */
export const extents = ['nothing', 'some', 'everything'] as const;
export type Extent = (typeof extents)[number];

/**
 * Whether a selector matches suspiciously little or much: `everything` means all of at least two live identities, since
 * a lone one is not a mistake.
 */
export function extentOf({ matching, live }: { matching: number; live: number }): Extent {
  if (matching === 0) return 'nothing';
  return matching === live && live > 1 ? 'everything' : 'some';
}
