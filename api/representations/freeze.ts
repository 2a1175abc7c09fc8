import { z } from 'zod';
import type { FreezeSituation } from '../../ledger/queries/freezes.ts';
import { Id, Instant } from './fields.ts';

export const FreezeBody = z
  .object({
    id: Id,
    identityIds: z.array(z.string()),
    integrations: z.array(z.string()),
    reason: z.string(),
    openedBy: z.string(),
    openedAt: Instant,
    liftedAt: Instant.nullable(),
    liftedBy: z.string().nullable(),
    liftReason: z.string().nullable(),
  })
  .meta({ id: 'Freeze' });
export type FreezeBody = z.input<typeof FreezeBody>;

export const FreezeDetail = FreezeBody.extend({
  matchingIdentities: z.int(),
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

type FreezeRow = Omit<FreezeSituation, 'matchingIdentities' | 'stillUsable'>;

export function freezeBody({
  id,
  identityIds,
  integrations,
  reason,
  openedBy,
  createdAt,
  liftedAt,
  liftedBy,
  liftReason,
}: FreezeRow): FreezeBody {
  return {
    id,
    identityIds,
    integrations,
    reason,
    openedBy,
    openedAt: createdAt.toISOString(),
    liftedAt: liftedAt?.toISOString() ?? null,
    liftedBy,
    liftReason,
  };
}

export function freezeDetail(freeze: FreezeSituation): z.input<typeof FreezeDetail> {
  const { matchingIdentities, stillUsable } = freeze;
  return {
    ...freezeBody(freeze),
    matchingIdentities,
    stillUsable: stillUsable.map((credential) => ({
      ...credential,
      expiresAt: credential.expiresAt?.toISOString() ?? null,
    })),
  };
}

export const freezeExample: FreezeBody = {
  id: 'l3vzm6mftpgj5cy2o4xw7rq5na',
  identityIds: [],
  integrations: ['payments'],
  reason: 'Compromised build host, ticket 4711',
  openedBy: 'responder@example.com',
  openedAt: '2026-11-22T10:00:00.000Z',
  liftedAt: null,
  liftedBy: null,
  liftReason: null,
};
