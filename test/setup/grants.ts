import { randomUUID } from 'node:crypto';
import { initialFlowState } from '../../domain/flow/state.ts';
import type { Grant } from '../../domain/grantClaims.ts';
import { idFromKey } from '../../domain/ids.ts';
import type { StepUpAsk } from '../../domain/stepUp.ts';
import type { Ledger } from '../../ledger/client.ts';
import { issueGrant } from '../../ledger/issueGrant.ts';

export const exampleAsk: StepUpAsk = {
  tool: 'search',
  action: 'read',
  resource: 'orders/4711',
  workspace: 'payments',
  audience: 'https://search.example.com',
  jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
  isOnBehalfVerified: false,
};

/**
 * A grant as its step-up leaves it, put into the ledger past every flow: for tests that are not about step-ups. Needs a flow
 * in the ledger.
 */
export async function insertGrant(
  { prisma }: Pick<Ledger, 'prisma'>,
  {
    identityId,
    onBehalfOf,
    ask = {},
    expiresAt = new Date(Date.now() + 600_000),
  }: { identityId: string; onBehalfOf?: string; ask?: Partial<StepUpAsk>; expiresAt?: Date },
): Promise<Grant> {
  const key = randomUUID();
  const requestId = idFromKey('request', { principal: 'a test', key });
  const { ttl: _left, ...asked } = { ...exampleAsk, ...ask };
  const { digest: flowDigest } = await prisma.flowVersion.findFirstOrThrow();
  const now = new Date();
  await prisma.request.create({
    data: {
      ...{ id: requestId, kind: 'step-up', identityId, flowDigest, state: 'completed', trigger: 'person' },
      ...{ requesterId: `agent:${identityId}`, requesterKind: 'agent', workflowId: `step-up/${requestId}` },
      stepUp: JSON.parse(JSON.stringify(asked)),
      flowState: JSON.parse(JSON.stringify(initialFlowState(now.toISOString()))),
      finishedAt: now,
    },
  });
  const change = { change: 'grant', grantId: requestId, expiresAt: expiresAt.toISOString(), ...asked } as const;
  await prisma.$transaction((tx) =>
    issueGrant(tx, { requestId, identityId, now }, onBehalfOf === undefined ? change : { ...change, onBehalfOf }),
  );
  return prisma.accessGrant.findUniqueOrThrow({ where: { requestId } });
}
