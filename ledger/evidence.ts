import type { KeyObject } from 'node:crypto';
import { type EvidenceDraft, entryBody } from '../domain/evidence/entry.ts';
import { chainMac, chainStart } from '../domain/evidence/macChain.ts';
import type { Succession } from '../domain/evidence/succession.ts';
import { Prisma } from '../prisma/generated/client.ts';
import type { Statements } from './statements.ts';

export type { EvidenceDraft } from '../domain/evidence/entry.ts';

/** Keys of the evidence; none of them is ever in PostgreSQL. */
export interface EvidenceKeys {
  /** 32 random bytes: chains the entries. */
  readonly macKey: KeyObject;
  /** 32 random bytes: turns persons into pseudonyms. Destroyed, the pseudonyms are anonymous for ever. */
  readonly personKey: KeyObject;
  /** Ed25519 private key: signs checkpoints. */
  readonly signingKey: KeyObject;
  /** By which it succeeded earlier ones, oldest first: notes of earlier logs are verified with those. */
  readonly successions?: readonly Succession[];
  /** Names the installation and its first log: a schema-less URL, say `tenure.example.com/evidence`. Never changes. */
  readonly origin: string;
}

/** Where a chain ends; at position -1, a chain has no entry yet. */
export interface ChainHead {
  readonly chain: string;
  readonly position: number;
  readonly mac: Uint8Array;
}

/**
 * Adds the drafts to their chains, in the given order, as part of the caller's transaction: they commit with the change
 * that they tell of, or not at all. Two statements however many drafts. Chains are locked until the transaction ends, so
 * call it once, after the row locks (identity, request, credentials), with all drafts of the transaction; a READ
 * COMMITTED transaction waits for another one on the same chain, a stricter one fails on the unique (chain, position).
 * Not idempotent: each call adds.
 * @param locked heads of chains that this transaction has locked already, as it found them
 * @throws EvidenceDraftInvalid, NotPlainJson before anything is written; the transaction must then roll back
 */
export async function appendEvidence(
  tx: Statements,
  keys: EvidenceKeys,
  drafts: readonly EvidenceDraft[],
  locked: readonly ChainHead[] = [],
): Promise<void> {
  if (drafts.length === 0) return;
  const known = new Set(locked.map(({ chain }) => chain));
  const chains = [...new Set(drafts.map(({ chain }) => chain))].filter((chain) => !known.has(chain));
  const found = chains.length === 0 ? [] : await lockedHeads(tx, chains);
  await tx.$executeRaw(evidenceInsertion(keys, drafts, [...locked, ...found]));
}

/**
 * The statement that adds the drafts to their chains, in the given order; part of a larger one where it may be.
 * @param heads of their chains, locked; a chain that is not among them has no entry yet
 * @throws EvidenceDraftInvalid, NotPlainJson
 */
export function evidenceInsertion(
  keys: EvidenceKeys,
  drafts: readonly EvidenceDraft[],
  heads: readonly ChainHead[],
): Prisma.Sql {
  const ends = new Map<string, Omit<ChainHead, 'chain'>>(heads.map((head) => [head.chain, head]));
  const rows = drafts.map((draft) => {
    const head = ends.get(draft.chain) ?? { position: -1, mac: chainStart };
    const position = head.position + 1;
    const body = entryBody(draft, { installation: keys.origin, position, personKey: keys.personKey });
    const mac = chainMac(keys.macKey, head.mac, body);
    ends.set(draft.chain, { position, mac });
    return { draft, position, body, mac };
  });
  // Ordered by the drafts' own order, so that ids (and with them leaf indexes) follow it within the transaction.
  return Prisma.sql`
    INSERT INTO "evidence_entry" ("chain", "position", "body", "mac", "requestId", "identityId", "at")
    SELECT "chain", "position", "body", decode("mac", 'hex'), "requestId", "identityId", "at"
    FROM unnest(
      ${rows.map(({ draft }) => draft.chain)}::text[],
      ${rows.map(({ position }) => position)}::integer[],
      ${rows.map(({ body }) => body)}::text[],
      ${rows.map(({ mac }) => mac.toString('hex'))}::text[],
      ${rows.map(({ draft }) => draft.requestId ?? null)}::text[],
      ${rows.map(({ draft }) => draft.identityId ?? null)}::text[],
      ${rows.map(({ draft }) => draft.at.toISOString())}::timestamptz[]
    ) WITH ORDINALITY AS draft("chain", "position", "body", "mac", "requestId", "identityId", "at", "place")
    ORDER BY "place"`;
}

/** Locks these chains until the transaction ends. @returns their heads; a chain without any entry has none */
export function lockedHeads(tx: Statements, chains: readonly string[]): Promise<ChainHead[]> {
  return tx.$queryRaw<ChainHead[]>`
    SELECT "chain", "position", "mac" FROM "evidence_chain_heads"(${chains}::text[])`;
}

/** A chain that is locked, by what was found of it: null where it has no entry yet. */
export function headOf(chain: string, found: { readonly position: number; readonly mac: string } | null): ChainHead {
  if (found === null) return { chain, position: -1, mac: chainStart };
  return { chain, position: found.position, mac: Buffer.from(found.mac, 'hex') };
}

/** The chain that tells of one request. */
export function requestChain(requestId: string): string {
  return `request/${requestId}`;
}
