import type { KeyObject } from 'node:crypto';
import { type EvidenceEntry, evidenceEntrySchema } from '../../domain/evidence/entry.ts';
import { pseudonym } from '../../domain/evidence/pseudonym.ts';
import type { Transaction } from '../client.ts';

/** One line of an identity's story, from its evidence, sealed or not yet. */
export interface TimelineEntry {
  readonly id: bigint;
  readonly at: string;
  readonly kind: string;
  readonly actor: string;
  readonly requestId: string | undefined;
  readonly data: EvidenceEntry['data'];
}

/**
 * What happened to the identity, oldest first. Evidence knows people by pseudonym; those who had to do with this identity
 * are named again here, for readers who may know them.
 * @param after the id of the entry that the page begins behind
 * @returns `next`: what to pass as `after`; undefined when there is none yet
 */
export async function timelineOf(
  ledger: Transaction,
  { identityId, after, limit, personKey }: { identityId: string; after?: bigint; limit: number; personKey: KeyObject },
): Promise<{ items: TimelineEntry[]; next: bigint | undefined }> {
  const rows = await ledger.evidenceEntry.findMany({
    where: { identityId, ...(after === undefined ? {} : { id: { gt: after } }) },
    orderBy: { id: 'asc' },
    select: { id: true, body: true },
    take: limit + 1,
  });
  const people = await peopleAround(ledger, identityId);
  const names = new Map(people.map((person) => [pseudonym(personKey, person), person]));
  const items = rows.slice(0, limit).map(({ id, body }) => {
    const { at, kind, actor, requestId, data } = evidenceEntrySchema.parse(JSON.parse(body));
    return { id, at, kind, actor: names.get(actor) ?? actor, requestId, data: named(data, names) };
  });
  return { items, next: rows.length > limit ? items.at(-1)?.id : undefined };
}

/** Everyone the ledger names beside this identity: a bounded set, however large the directory. */
async function peopleAround(ledger: Transaction, identityId: string): Promise<string[]> {
  const rows = await ledger.$queryRaw<{ person: string }[]>`
    SELECT "ownerId" AS "person" FROM "identity" WHERE "id" = ${identityId}
    UNION SELECT unnest("consumers") FROM "identity" WHERE "id" = ${identityId}
    UNION SELECT q."principal" FROM "requester" q JOIN "request" r ON r."id" = q."requestId" WHERE r."identityId" = ${identityId}
    UNION SELECT q."onBehalfOf" FROM "requester" q JOIN "request" r ON r."id" = q."requestId" WHERE r."identityId" = ${identityId} AND q."onBehalfOf" IS NOT NULL
    UNION SELECT d."approverId" FROM "decision" d JOIN "request" r ON r."id" = d."requestId" WHERE r."identityId" = ${identityId}
    UNION SELECT p."principal" FROM "pause" p JOIN "request" r ON r."id" = p."requestId" WHERE r."identityId" = ${identityId}
    UNION SELECT p."liftedBy" FROM "pause" p JOIN "request" r ON r."id" = p."requestId" WHERE r."identityId" = ${identityId} AND p."liftedBy" IS NOT NULL`;
  return rows.map(({ person }) => person);
}

function named(data: EvidenceEntry['data'], names: ReadonlyMap<string, string>): EvidenceEntry['data'] {
  return Object.fromEntries(Object.entries(data).map(([member, value]) => [member, nameIn(value, names)]));
}

function nameIn(
  value: EvidenceEntry['data'][string],
  names: ReadonlyMap<string, string>,
): EvidenceEntry['data'][string] {
  if (typeof value === 'string') return names.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => nameIn(item, names));
  return typeof value === 'object' && value !== null ? named(value, names) : value;
}
