import type { Ledger } from './client.ts';
import { enqueue } from './outbox.ts';

/**
 * Effect: the owner of an agent is told that its key is due for another one, which only the agent can make. Each call tells
 * them once more. Nothing of an agent without a credential.
 */
export async function remindOwnerOfKey({ prisma }: Pick<Ledger, 'prisma'>, identityId: string): Promise<void> {
  await prisma.$transaction(async (tx) => {
    const current = await tx.credential.findFirst({
      where: { identityId, state: 'current' },
      select: { requestId: true, identity: { select: { ownerId: true } } },
    });
    if (current === null) return;
    const { requestId, identity } = current;
    await enqueue(tx, { kind: 'notify', requestId, to: [identity.ownerId], about: 'registration-required' });
  });
}
