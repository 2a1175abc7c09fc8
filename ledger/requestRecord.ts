import { evidenceEntrySchema } from '../domain/evidence/entry.ts';
import { chainMac, chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { pseudonym } from '../domain/evidence/pseudonym.ts';
import type { VoidReason } from '../domain/flow/state.ts';
import type { Request, Requester } from '../prisma/generated/client.ts';
import { type EvidenceKeys, requestChain } from './evidence.ts';
import type { Statements } from './statements.ts';

/** What a request's own evidence says of it, under its MAC chain: rows that say something else were changed past Tenure. */

export interface StoredEntry {
  readonly body: string;
  /** Hexadecimal. */
  readonly mac: string;
}

/** What was opened, and is the same for ever. */
type OpenedRequest = Pick<Request, 'flowDigest' | 'requesterId'>;

/**
 * Whether the first entry of its chain says that this request was opened under another flow or by somebody else.
 * @param first undefined while the opening is under way: its evidence is appended with the first step
 */
export function isAltered(
  keys: Pick<EvidenceKeys, 'macKey' | 'personKey'>,
  { flowDigest, requesterId, sequence }: OpenedRequest & Pick<Request, 'sequence'>,
  first: StoredEntry | null,
): boolean {
  if (first === null) return sequence > 0;
  if (!macHolds(keys.macKey, chainStart, first.body, Buffer.from(first.mac, 'hex'))) return true;
  const { kind, actor, data } = evidenceEntrySchema.parse(JSON.parse(first.body));
  return kind !== 'request.opened' || actor !== pseudonym(keys.personKey, requesterId) || data['flow'] !== flowDigest;
}

/** What the chain tells of decisions and of who asked. */
export interface RequestRecord {
  readonly isWhole: boolean;
  readonly decided: ReadonlySet<string>;
  readonly withdrawn: ReadonlySet<string>;
  /** Everyone who asked or joined: as a pseudonym, and as that of the person behind. */
  readonly asked: readonly { readonly actor: string; readonly onBehalfOf: string | undefined }[];
}

const toldOf = /"kind":"(?:request\.(?:opened|joined)|(?:decision|proof)\.(?:recorded|withdrawn|voided))"/;

/** Reads the whole chain: each entry's MAC is over the one before. */
export async function readRequestRecord(
  tx: Statements,
  { macKey }: Pick<EvidenceKeys, 'macKey'>,
  requestId: string,
): Promise<RequestRecord> {
  const entries = await tx.$queryRaw<StoredEntry[]>`
    SELECT "body", encode("mac", 'hex') AS "mac" FROM "evidence_entry"
    WHERE "chain" = ${requestChain(requestId)} ORDER BY "position"`;
  const decided = new Set<string>();
  const withdrawn = new Set<string>();
  const asked: { actor: string; onBehalfOf: string | undefined }[] = [];
  let isWhole = entries.length > 0;
  let previous: Buffer = chainStart;
  for (const { body, mac } of entries) {
    previous = chainMac(macKey, previous, body);
    isWhole = isWhole && previous.equals(Buffer.from(mac, 'hex'));
    if (!toldOf.test(body)) continue;
    const { kind, actor, data } = evidenceEntrySchema.parse(JSON.parse(body));
    const { id, decisionId, onBehalfOf } = data;
    if (kind.startsWith('request.'))
      asked.push({ actor, onBehalfOf: typeof onBehalfOf === 'string' ? onBehalfOf : undefined });
    else if (kind.endsWith('.recorded')) decided.add(String(id));
    else withdrawn.add(String(decisionId));
  }
  return { isWhole, decided, withdrawn, asked };
}

/** Why nothing that was decided on this request counts any more; undefined when its evidence and its requesters agree. */
export function voidForAll(
  record: RequestRecord,
  requesters: readonly Pick<Requester, 'principal' | 'onBehalfOf'>[],
  { personKey }: Pick<EvidenceKeys, 'personKey'>,
): VoidReason | undefined {
  if (!record.isWhole) return 'evidence-altered';
  const present = new Map(
    requesters.map(({ principal, onBehalfOf }) => [
      pseudonym(personKey, principal),
      onBehalfOf === null ? undefined : pseudonym(personKey, onBehalfOf),
    ]),
  );
  // Who joins twice is kept with whom they stood for first.
  const first = new Map(record.asked.toReversed().map(({ actor, onBehalfOf }) => [actor, onBehalfOf]));
  // A person who asked, and for whom a machine asked as well, stands for themselves (ledger/requesters.ts).
  const isKept = ([actor, onBehalfOf]: [string, string | undefined]) =>
    present.has(actor) &&
    (present.get(actor) === onBehalfOf || (onBehalfOf === undefined && present.get(actor) === actor));
  return [...first].every(isKept) ? undefined : 'requesters-altered';
}

/** Why this decision counts no more, by the request's evidence. */
export function voidByRecord({ decided, withdrawn }: RequestRecord, id: string): VoidReason | undefined {
  if (!decided.has(id)) return 'not-in-evidence';
  return withdrawn.has(id) ? 'withdrawn' : undefined;
}
