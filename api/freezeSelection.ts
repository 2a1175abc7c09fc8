import { z } from 'zod';
import { type Extent, type FreezeSelector, freezeSelector } from '../domain/freezeSelector.ts';
import { extentOfSelector } from '../ledger/queries/freezes.ts';
import { everybodyNamed } from './namedPeople.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem } from './problem.ts';
import { distinct, Id, person, slug, text } from './representations/fields.ts';

/** What callers may select a freeze's subjects by, in a body and in a query alike. */

const most = 200;
const FlowVersion = z.string().regex(/^[0-9a-f]{64}$/, 'must be the digest of a flow version: 64 hexadecimal digits');
const Label = text(264).regex(
  /^[a-z0-9][a-z0-9._-]{0,62}=./u,
  'must be key=value, with the key as labels have it: a-z, 0-9, dot, hyphen and underscore',
);

const items = {
  identityIds: Id,
  integrations: slug,
  owners: person,
  issuers: text(63),
  stores: text(63),
  environments: slug,
  connectorIds: Id,
  flowVersions: FlowVersion,
  labels: Label,
} as const;

/** As members of a body: a list each, empty when left out. */
export const selectorFields = {
  identityIds: distinct(items.identityIds, most).default([]),
  integrations: distinct(items.integrations, most).default([]),
  owners: distinct(items.owners, most).default([]),
  issuers: distinct(items.issuers, most).default([]),
  stores: distinct(items.stores, most).default([]),
  environments: distinct(items.environments, most).default([]),
  connectorIds: distinct(items.connectorIds, most)
    .default([])
    .meta({ description: 'Identities of kind `connector`; an id of another kind selects nothing here.' }),
  flowVersions: distinct(items.flowVersions, most).default([]).meta({
    description: 'Digests: whoever an open request or a live credential binds to that version.',
  }),
  labels: distinct(items.labels, most).default([]).meta({ description: '`key=value`' }),
} as const;

/** A query names one (`integrations=a`) or repeats itself (`integrations=a&integrations=b`). */
const listed = <T extends z.ZodType<string>>(item: T) =>
  z
    .union([item, distinct(item, most)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .optional();

export const selectorQuery = {
  identityIds: listed(items.identityIds),
  integrations: listed(items.integrations),
  owners: listed(items.owners),
  issuers: listed(items.issuers),
  stores: listed(items.stores),
  environments: listed(items.environments),
  connectorIds: listed(items.connectorIds),
  flowVersions: listed(items.flowVersions),
  labels: listed(items.labels),
} as const;

type Named = { readonly [Field in keyof typeof items]?: readonly string[] | undefined };

/** The domain's selector of what a caller named. */
function selectorOf({ owners = [], flowVersions = [], ...same }: Named): FreezeSelector {
  const { identityIds = [], integrations = [], issuers = [], stores = [] } = same;
  const { environments = [], connectorIds = [], labels = [] } = same;
  return freezeSelector({
    identityIds,
    integrations,
    ownerIds: owners,
    issuers,
    stores,
    environments,
    connectorIds,
    flowDigests: flowVersions,
    labels,
  });
}

/** The same, owners by the ids of everybody whom the caller may mean: a freeze of one too many is lifted again. */
export async function selectorNow(deps: Pick<ApiDependencies, 'ledger'>, named: Named): Promise<FreezeSelector> {
  return selectorOf({ ...named, owners: await everybodyNamed(deps, named.owners ?? []) });
}

export function selectsSomething(named: Named): boolean {
  return Object.values(selectorOf(named)).some((list) => list.length > 0);
}

/**
 * Asked before a freeze is opened: one that matches nothing is probably misspelt, one that matches everything stops every
 * team, and the caller must have meant it.
 * @throws Problem `confirmation-required`
 */
export async function requireConfirmation(
  { ledger }: Pick<ApiDependencies, 'ledger'>,
  selector: FreezeSelector,
  confirmed: Exclude<Extent, 'some'> | undefined,
): Promise<void> {
  const extent = await extentOfSelector(ledger.prisma, selector);
  if (extent === 'some' || extent === confirmed) return;
  const what =
    extent === 'nothing'
      ? 'The selector matches no live identity. Check its spelling at /v1/freezes/preview'
      : 'The selector matches every live identity: issuance would stop everywhere. See /v1/freezes/preview';
  throw new Problem('confirmation-required', `${what}; if it is meant, send it again with confirm: "${extent}".`, {
    extensions: { matches: extent },
  });
}
