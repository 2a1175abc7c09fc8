import { z } from 'zod';
import { type FreezeReviews, missingStandings } from '../../ledger/queries/freezeReviews.ts';
import { Id, Instant } from './fields.ts';

const count = (description: string) => z.int().meta({ description });

export const FreezeReviewsBody = z
  .object({
    freezeId: Id,
    orderedBy: z.string(),
    orderedAt: Instant,
    reason: z.string(),
    newOwner: z.string().nullable(),
    reissue: z.boolean(),
    counts: z.object({
      waiting: count('Active subjects that are still to be asked.'),
      open: count('Reviews under way.'),
      thawed: count('Subjects that a review has let go.'),
      ended: count('Reviews that are over and have let nobody go: denied, expired or cancelled.'),
      refused: count('Reviews that could not be opened.'),
    }),
    missing: z
      .array(
        z.object({
          identityId: Id,
          identityName: z.string(),
          owner: z.string(),
          standing: z.enum(missingStandings),
          requestId: Id.nullable(),
          because: z.string().nullable().meta({ description: 'Why it was refused or ended; null of the others.' }),
        }),
      )
      .meta({ description: 'Who has not been let go, refused and ended ones first. The first 50.' }),
  })
  .meta({ id: 'FreezeReviews' });

export function freezeReviewsBody({ order, counts, missing }: FreezeReviews): z.input<typeof FreezeReviewsBody> {
  const proposal = z.object({ newOwner: z.string().optional(), reissue: z.boolean() }).parse(order.proposal);
  return {
    freezeId: order.freezeId,
    orderedBy: order.orderedBy,
    orderedAt: order.createdAt.toISOString(),
    reason: order.reason,
    newOwner: proposal.newOwner ?? null,
    reissue: proposal.reissue,
    counts,
    missing: missing.map(({ ownerId, ...subject }) => ({ ...subject, owner: ownerId })),
  };
}

export const freezeReviewsExample: z.input<typeof FreezeReviewsBody> = {
  freezeId: 'l3vzm6mftpgj5cy2o4xw7rq5na',
  orderedBy: 'responder@example.com',
  orderedAt: '2026-11-22T10:05:00.000Z',
  reason: 'Host rebuilt, ticket 4711',
  newOwner: null,
  reissue: true,
  counts: { waiting: 1, open: 40, thawed: 0, ended: 0, refused: 1 },
  missing: [
    {
      identityId: 'n3vzm6mftpgj5cy2o4xw7rq5nb',
      identityName: 'orders reader',
      owner: 'ana@example.com',
      standing: 'refused',
      requestId: null,
      because: 'no-flow: No published flow covers this review.',
    },
  ],
};
