import type { KeyObject } from 'node:crypto';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence } from './evidence.ts';
import type { Statements } from './statements.ts';

const chain = 'installation';
export const decisionKeyKind = 'installation.decision-key';

/**
 * Effect: evidence names every public key by which decisions are verified, once each: under the log's root, before anything is
 * signed with it. Idempotent; any number of processes may do it at once.
 */
export async function recordDecisionKeys({
  prisma,
  evidence,
  decisionKeys,
}: Pick<Ledger, 'prisma' | 'evidence' | 'decisionKeys'>): Promise<void> {
  if ((await unrecorded(prisma, decisionKeys)).length === 0) return;
  await prisma.$transaction(async (tx) => {
    // The chain's lock first: what another process is recording is seen after it.
    await tx.$queryRaw`SELECT "position" FROM "evidence_chain_heads"(ARRAY[${chain}]::text[])`;
    const missing = await unrecorded(tx, decisionKeys);
    const at = await databaseClock(tx);
    const drafts = missing.map(([keyId, key]) => ({
      ...{ chain, kind: decisionKeyKind, at, actor: 'system:ledger' },
      data: { keyId, publicKey: rawPublicKey(key).toString('base64') },
    }));
    await appendEvidence(tx, evidence, drafts);
  });
}

async function unrecorded(tx: Statements, keys: ReadonlyMap<string, KeyObject>): Promise<[string, KeyObject][]> {
  const rows = await tx.$queryRaw<{ keyId: string }[]>`
    SELECT "body"::jsonb -> 'data' ->> 'keyId' AS "keyId" FROM "evidence_entry"
    WHERE "chain" = ${chain} AND "body" LIKE ${`%"kind":"${decisionKeyKind}"%`}`;
  const known = new Set(rows.map(({ keyId }) => keyId));
  return [...keys].filter(([keyId]) => !known.has(keyId));
}

/** The 32 bytes of an Ed25519 public key (RFC 8032). */
function rawPublicKey(key: KeyObject): Buffer {
  const { x = '' } = key.export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}
