import type { JsonObject } from '../domain/evidence/canonicalJson.ts';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import { useOnce } from './singleUse.ts';

const minuteMs = 60_000;

/**
 * Evidence that an agent, or somebody in its name, was refused: at most one entry for each agent, kind, reason and minute,
 * so that nobody can flood the log. Idempotent within the minute.
 */
export async function recordAgentRefusal(
  { prisma, evidence }: Pick<Ledger, 'prisma' | 'evidence'>,
  refusal: {
    readonly kind: 'agent.authentication-refused' | 'step-up.refused';
    readonly identityId: string;
    readonly actor: string;
    /** A word of ours, never what was sent. */
    readonly reason: string;
    readonly data?: JsonObject;
  },
): Promise<void> {
  const { kind, identityId, actor, reason, data = {} } = refusal;
  await prisma.$transaction(async (tx) => {
    const at = await databaseClock(tx);
    const minute = Math.floor(at.getTime() / minuteMs);
    const once = {
      purpose: kind,
      value: `${identityId}/${reason}/${minute}`,
      until: new Date((minute + 2) * minuteMs),
    };
    if (!(await useOnce(tx, once))) return;
    await appendEvidence(tx, evidence, [
      { chain: `identity/${identityId}`, kind, actor, identityId, at, data: { ...data, reason } },
    ]);
  });
}
