import { z } from 'zod';
import { scopeOf } from '../../domain/agents.ts';
import { proverOf } from '../../domain/proofs.ts';
import { isFinalRequestState, requestStates } from '../../domain/states.ts';
import type { StepUpSituation } from '../../ledger/queries/stepUps.ts';
import { Id, Instant } from './fields.ts';

const Awaited = z.object({
  what: z.enum(['agent-key', 'confirmation', 'approval']),
  stage: z.string(),
  of: z.string().meta({ description: 'The agent, a person, `owner`, or `group:<name>`.' }),
  url: z.string().meta({ description: 'Where it is proven or decided on.' }),
});

export const StepUpBody = z
  .object({
    id: Id,
    outcome: z.enum(['granted', 'denied', 'pending']),
    state: z.enum(requestStates),
    reason: z.exactOptional(z.string()).meta({ description: 'Why it was denied, or why there is no token any more.' }),
    risk: z.object({
      score: z.int(),
      contributions: z.array(z.object({ add: z.int(), because: z.string() })),
    }),
    awaiting: z.exactOptional(z.array(Awaited)).meta({ description: 'Of a pending one.' }),
    grant: z.exactOptional(
      z.object({
        accessToken: z.string().meta({ description: 'RFC 9068, bound to the key of the DPoP proof (RFC 9449).' }),
        tokenType: z.literal('DPoP'),
        expiresAt: Instant,
        expiresIn: z.int().meta({ description: 'Seconds.' }),
        scope: z.string(),
        audience: z.string(),
      }),
    ),
  })
  .meta({ id: 'StepUp' });
export type StepUpBody = z.output<typeof StepUpBody>;

/** How a step-up stands, but for the token. `publicUrl` is where people find what they are asked. */
export function stepUpBody(row: StepUpSituation, publicUrl: string): Omit<StepUpBody, 'grant'> {
  const state = z.enum(requestStates).parse(row.state);
  const { score, contributions } = row.review.risk ?? { score: 0, contributions: [] };
  const standing = { id: row.id, state, risk: { score, contributions: [...contributions] } };
  if (!isFinalRequestState(state)) return { ...standing, outcome: 'pending', awaiting: awaited(row, publicUrl) };
  const outcome = state === 'completed' ? 'granted' : 'denied';
  return { ...standing, outcome, ...(row.reason === null ? {} : { reason: row.reason }) };
}

function awaited(row: StepUpSituation, publicUrl: string): z.output<typeof Awaited>[] {
  const { stage } = row;
  if (stage === undefined) return [];
  const place = { stage: stage.id, url: `${publicUrl}/v1/requests/${row.id}` };
  if ('approval' in stage) return stage.approval.require.map(({ from }) => ({ what: 'approval', of: from, ...place }));
  if (!('stepUp' in stage)) return [];
  const what = stage.stepUp.by === 'agent' ? 'agent-key' : 'confirmation';
  return [{ what, of: proverOf(stage, row.asker, row.parties) ?? 'nobody', ...place }];
}

/** The grant that a token was made for. */
export function grantBody(
  grant: NonNullable<StepUpSituation['grant']>,
  accessToken: string,
  now: Date,
): NonNullable<StepUpBody['grant']> {
  return {
    accessToken,
    tokenType: 'DPoP',
    expiresAt: grant.expiresAt.toISOString(),
    expiresIn: Math.floor((grant.expiresAt.getTime() - now.getTime()) / 1000),
    scope: scopeOf(grant.tool, grant.action),
    audience: grant.audience,
  };
}

export const stepUpExample: StepUpBody = {
  id: 'qsch47vxnzj47kmpqx6qtfacpi',
  outcome: 'granted',
  state: 'completed',
  risk: { score: 10, contributions: [{ add: 10, because: 'nobody stands behind it' }] },
  grant: {
    accessToken: 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzY29wZSI6InNlYXJjaDpyZWFkIn0.c2lnbmF0dXJl',
    tokenType: 'DPoP',
    expiresAt: '2026-11-22T10:10:00.000Z',
    expiresIn: 600,
    scope: 'search:read',
    audience: 'https://search.example.com',
  },
};
