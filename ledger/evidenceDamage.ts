import { createHash, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, type EvidenceKeys } from './evidence.ts';
import type { Statements } from './statements.ts';

/**
 * Evidence that was changed behind the triggers and cannot be put back. It is never made to look whole: an operator accepts
 * exactly what was found, that is evidence itself, and the log goes on.
 */
export interface Found {
  /** `entry/<id>`, or `leaf/<index>` where the entry is gone. */
  readonly subject: string;
  /** SHA-256 of what is there: another change is damage again. */
  readonly digest: Buffer;
}

/** What is there of an entry, with what its MAC hangs on. */
export function entryFound(entry: {
  readonly id: bigint;
  readonly chain: string;
  readonly position: number;
  readonly body: string;
  readonly mac: Uint8Array;
  readonly previousMac: Uint8Array | null;
}): Found {
  const { id, chain, position, body, mac, previousMac } = entry;
  const parts = [chain, String(position), hex(previousMac), hex(mac), body];
  return { subject: `entry/${id}`, digest: sha256(parts.map((part) => `${part}\n`).join('')) };
}

/** A leaf without an entry. @param hash its hash in the tree */
export function leafFound(index: number, hash: Uint8Array): Found {
  return { subject: `leaf/${index}`, digest: sha256(hex(hash)) };
}

/** Whether exactly this was accepted by somebody who has the evidence's MAC key. */
export async function isAccepted(tx: Statements, keys: EvidenceKeys, { subject, digest }: Found): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ mac: Uint8Array }[]>`
    SELECT "mac" FROM "evidence_damage" WHERE "subject" = ${subject} AND "found" = decode(${digest.toString('hex')}, 'hex')`;
  const expected = macOf(keys.macKey, { subject, digest });
  return row?.mac.length === expected.length && timingSafeEqual(row.mac, expected);
}

/** Effect: exactly what was found is accepted, and the evidence says so. Idempotent. */
export async function acceptDamage(
  ledger: Pick<Ledger, 'prisma' | 'evidence'>,
  { subject, digest }: Found,
  reason: string,
): Promise<void> {
  const { prisma, evidence } = ledger;
  await prisma.$transaction(async (tx) => {
    const at = await databaseClock(tx);
    const found = Uint8Array.from(digest);
    const mac = Uint8Array.from(macOf(evidence.macKey, { subject, digest }));
    const { count } = await tx.evidenceDamage.createMany({
      data: [{ subject, found, mac, reason, at }],
      skipDuplicates: true,
    });
    if (count === 0) return;
    const data = { subject, found: digest.toString('hex'), reason };
    await appendEvidence(tx, evidence, [
      { chain: 'installation', kind: 'installation.damage-accepted', actor: 'system:operator', at, data },
    ]);
  });
}

function macOf(macKey: KeyObject, { subject, digest }: Found): Buffer {
  return createHmac('sha256', macKey).update(`tenure/evidence-damage\0${subject}\0`).update(digest).digest();
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

function hex(bytes: Uint8Array | null): string {
  return bytes === null ? '' : Buffer.from(bytes).toString('hex');
}
