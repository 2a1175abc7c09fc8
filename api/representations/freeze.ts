import { z } from 'zod';
import { extents, freezeCauses, freezeModes } from '../../domain/freezeSelector.ts';
import type { FreezeSituation, SelectorPreview } from '../../ledger/queries/freezes.ts';
import { Id, Instant } from './fields.ts';

const Selector = z.object({
  identityIds: z.array(z.string()),
  integrations: z.array(z.string()),
  owners: z.array(z.string()),
  issuers: z.array(z.string()),
  stores: z.array(z.string()),
  environments: z.array(z.string()),
  connectorIds: z.array(z.string()),
  flowVersions: z.array(z.string()).meta({ description: 'Digests of flow versions.' }),
  labels: z.array(z.string()).meta({ description: '`key=value`' }),
});

export const FreezeBody = Selector.extend({
  id: Id,
  mode: z.enum(freezeModes),
  reason: z.string(),
  cause: z
    .enum(freezeCauses)
    .nullable()
    .meta({ description: 'Why Tenure opened it by itself; null when a person did.' }),
  openedBy: z.string(),
  openedAt: Instant,
  escalateAfter: z.string().nullable(),
  escalations: z.int(),
  escalatedAt: Instant.nullable(),
  liftedAt: Instant.nullable(),
  liftedBy: z.string().nullable(),
  liftReason: z.string().nullable(),
  liftOverride: z.boolean().meta({ description: 'Lifted although subjects had not been reviewed.' }),
}).meta({ id: 'Freeze' });
export type FreezeBody = z.input<typeof FreezeBody>;

export const FreezeDetail = FreezeBody.extend({
  matchingIdentities: z.int().meta({ description: 'The same as `counts.subjects`.' }),
  counts: z.object({
    subjects: z.int().meta({ description: 'Live identities it is about, thawed ones included.' }),
    unreviewed: z.int().meta({ description: 'Active ones that no review has let go: what a lift still waits for.' }),
    thawed: z.int().meta({ description: 'Identities that a review let go.' }),
    held: z.int().meta({ description: 'Open requests that it holds now.' }),
    refused: z.int().meta({ description: 'Requests whose begin or commit it refused.' }),
    cancelled: z.int().meta({ description: 'Requests that it cancelled.' }),
    usable: z.int().meta({ description: 'Credentials that it does not take away.' }),
  }),
  stillUsable: z
    .array(
      z.object({
        identityId: Id,
        identityName: z.string(),
        version: z.int(),
        state: z.string(),
        expiresAt: Instant.nullable(),
      }),
    )
    .meta({
      description: 'Credentials issued before the freeze, which it does not take away: the 200 that live longest.',
    }),
}).meta({ id: 'FreezeDetail' });

type FreezeRow = Omit<FreezeSituation, 'counts' | 'stillUsable'>;

export function freezeBody(row: FreezeRow): FreezeBody {
  const { createdAt, ownerIds, flowDigests, mode, cause, escalatedAt, liftedAt, ...same } = row;
  return {
    id: same.id,
    identityIds: same.identityIds,
    integrations: same.integrations,
    owners: ownerIds,
    issuers: same.issuers,
    stores: same.stores,
    environments: same.environments,
    connectorIds: same.connectorIds,
    flowVersions: flowDigests,
    labels: same.labels,
    mode: z.enum(freezeModes).parse(mode),
    reason: same.reason,
    cause: z
      .enum(freezeCauses)
      .nullable()
      .parse(cause?.split('/', 1)[0] ?? null),
    openedBy: same.openedBy,
    openedAt: createdAt.toISOString(),
    escalateAfter: same.escalateAfter,
    escalations: same.escalations,
    escalatedAt: escalatedAt?.toISOString() ?? null,
    liftedAt: liftedAt?.toISOString() ?? null,
    liftedBy: same.liftedBy,
    liftReason: same.liftReason,
    liftOverride: same.liftOverride,
  };
}

export function freezeDetail(freeze: FreezeSituation): z.input<typeof FreezeDetail> {
  const { counts, stillUsable } = freeze;
  return {
    ...freezeBody(freeze),
    matchingIdentities: counts.subjects,
    counts,
    stillUsable: stillUsable.map((credential) => ({
      ...credential,
      expiresAt: credential.expiresAt?.toISOString() ?? null,
    })),
  };
}

export const FreezePreview = z
  .object({
    matches: z.enum(extents).meta({ description: '`nothing` and `everything` must be confirmed to freeze.' }),
    matching: z.int().meta({ description: 'Live identities that would be frozen.' }),
    live: z.int().meta({ description: 'All live identities.' }),
    openRequests: z.int().meta({ description: 'Open requests of theirs that would be held or cancelled.' }),
    usableCredentials: z.int().meta({ description: 'Credentials of theirs that would stay usable.' }),
    sample: z
      .array(
        z.object({
          identityId: Id,
          name: z.string(),
          owner: z.string(),
          state: z.string(),
          environment: z.string(),
          integration: z.string(),
        }),
      )
      .meta({ description: 'The first 20.' }),
  })
  .meta({ id: 'FreezePreview' });

export function freezePreview({ extent, sample, ...counts }: SelectorPreview): z.input<typeof FreezePreview> {
  return {
    matches: extent,
    ...counts,
    sample: sample.map(({ ownerId, ...identity }) => ({ ...identity, owner: ownerId })),
  };
}

export const freezeExample: FreezeBody = {
  id: 'l3vzm6mftpgj5cy2o4xw7rq5na',
  identityIds: [],
  integrations: ['payments'],
  owners: [],
  issuers: [],
  stores: [],
  environments: [],
  connectorIds: [],
  flowVersions: [],
  labels: [],
  mode: 'hold',
  reason: 'Compromised build host, ticket 4711',
  cause: null,
  openedBy: 'responder@example.com',
  openedAt: '2026-11-22T10:00:00.000Z',
  escalateAfter: 'PT4H',
  escalations: 0,
  escalatedAt: null,
  liftedAt: null,
  liftedBy: null,
  liftReason: null,
  liftOverride: false,
};

export const freezeDetailExample: z.input<typeof FreezeDetail> = {
  ...freezeExample,
  matchingIdentities: 1,
  counts: { subjects: 1, unreviewed: 1, thawed: 0, held: 1, refused: 1, cancelled: 0, usable: 1 },
  stillUsable: [],
};
