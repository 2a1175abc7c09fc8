import { type CaseFile, caseFileOf } from '../../domain/caseFile.ts';
import type { Parties, Review } from '../../domain/decisions.ts';
import { instant } from '../../domain/flow/draft.ts';
import { reviewOf } from '../../domain/flow/judge.ts';
import type { Flow, RequestKind, Stage } from '../../domain/flow/language.ts';
import { waitEndsMs } from '../../domain/flow/stages.ts';
import type { FlowState, VoidReason, Waiver } from '../../domain/flow/state.ts';
import type { Asker } from '../../domain/proofs.ts';
import { isFinalRequestState, type RequestState } from '../../domain/states.ts';
import type { Decision, Freeze, Prisma } from '../../prisma/generated/client.ts';
import type { Ledger } from '../client.ts';
import { decisionKeysOf, voidByContent } from '../decisionStanding.ts';
import { flowVersion } from '../flows.ts';
import { freezesOn } from '../freezeSubjects.ts';
import { requestFactsOf } from '../gatherFacts.ts';
import { ownersOf, proposed } from '../proposal.ts';
import { proposalIn } from '../publications.ts';
import { shownOfAgent } from '../registration.ts';
import type { Statements } from '../statements.ts';
import { askedFor } from '../stepUpAsk.ts';
import { type Page, type PageAsked, type Place, pageOf, pageQuery } from './page.ts';
import { type RequestRow, requestRow } from './requestRow.ts';

/** A request as the API shows it: the rows, its flow, and where it stands in it. */
export interface RequestSituation extends RequestRow {
  readonly flowName: string;
  readonly stage: Stage | undefined;
  readonly flowState: Prisma.JsonValue;
  readonly escalated: boolean;
  /** RFC 3339: when the wait at which it stands is over. */
  readonly waitsUntil: string | undefined;
  /** Stages behind it that an exception waived. */
  readonly waived: readonly Waiver[];
  /** Steps of its effect that failed and are tried again. */
  readonly retries: FlowState['effect']['retries'];
  readonly graceEndsAt: string | undefined;
  readonly parties: Parties;
  readonly asker: Asker;
  readonly freezes: readonly Freeze[];
  /** What an approver is shown now. */
  readonly review: Review;
  /** The same as it is published: what an approver signs the digest of. */
  readonly caseFile: CaseFile;
  /** Why this decision of the present revision counts no more, as its row and the content tell; undefined when they tell nothing. */
  voidBecause(decision: Decision): VoidReason | undefined;
}

const related = {
  identity: true,
  publication: { select: { digest: true, proposal: true } },
  requesters: { orderBy: { joinedAt: 'asc' } },
  decisions: { orderBy: [{ decidedAt: 'asc' }, { id: 'asc' }] },
  pauses: { where: { liftedAt: null }, orderBy: { createdAt: 'asc' } },
} as const satisfies Prisma.RequestInclude;

/** What reads a request: the rows, and the keys under which people and decisions are known. */
type Reading = Pick<Ledger, 'evidence' | 'decisionKeys'> & { readonly tx: Statements };

export async function findRequest(
  ledger: Pick<Ledger, 'direct' | 'evidence' | 'decisionKeys'>,
  id: string,
): Promise<RequestSituation | undefined> {
  const reading = { ...ledger, tx: ledger.direct };
  const found = await requestRow(ledger.direct, id);
  if (found === undefined) return undefined;
  const { row, isAnyFrozen } = found;
  return isAnyFrozen ? (await situations(reading, [row]))[0] : situationOf(reading, row, []);
}

/** Where each of these requests stands: a number that grows with every event; one that is not there is left out. Read by key. */
export async function sequencesOf(tx: Statements, ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const rows = await tx.$queryRaw<{ id: string; sequence: number }[]>`
    SELECT "id", "sequence" FROM "request" WHERE "id" = ANY(${ids}::text[])`;
  return new Map(rows.map(({ id, sequence }) => [id, sequence]));
}

export interface RequestFilter {
  readonly state?: RequestState;
  readonly kind?: RequestKind;
  readonly identityId?: string;
  /** Only requests that this principal asked for or joined. */
  readonly requesterId?: string;
  /** Only requests that have not ended. */
  readonly isOpen?: true;
}

/** Newest first. */
export async function listRequests(
  ledger: Pick<Ledger, 'prisma' | 'evidence' | 'decisionKeys'>,
  { requesterId, isOpen, ...filter }: RequestFilter,
  asked: PageAsked,
): Promise<Page<RequestSituation>> {
  const { where, ...order } = pageQuery(asked);
  const rows = await ledger.prisma.request.findMany({
    ...order,
    where: {
      AND: [
        filter,
        where ?? {},
        isOpen === undefined ? {} : { finishedAt: null },
        requesterId === undefined ? {} : { requesters: { some: { principal: requesterId } } },
      ],
    },
    include: related,
  });
  const { items, next } = pageOf(rows, asked.limit);
  return { items: await situations({ ...ledger, tx: ledger.prisma }, items), next };
}

/** Rows looked at for one page of a list that is filtered by more than the ledger's columns. */
const scanLimit = 1_000;
const scanBatch = 100;

/**
 * Requests of which `isWanted` holds, newest first. Looks at 1,000 rows at most: a page may then be short or empty and
 * still have a next one.
 */
export async function scanRequests(
  ledger: Pick<Ledger, 'prisma' | 'evidence' | 'decisionKeys'>,
  filter: RequestFilter,
  { limit, after }: PageAsked,
  isWanted: (request: RequestSituation) => boolean,
): Promise<Page<RequestSituation>> {
  const items: RequestSituation[] = [];
  let place: Place | undefined = after;
  for (let scanned = 0; scanned < scanLimit; scanned += scanBatch) {
    const batch: Page<RequestSituation> = await listRequests(ledger, filter, {
      limit: scanBatch,
      ...(place === undefined ? {} : { after: place }),
    });
    for (const request of batch.items) {
      if (isWanted(request)) items.push(request);
      if (items.length === limit) return { items, next: request };
    }
    if (batch.next === undefined) return { items, next: undefined };
    place = batch.next;
  }
  return { items, next: place };
}

async function situations(reading: Reading, rows: readonly RequestRow[]): Promise<RequestSituation[]> {
  const freezes = await freezesOn(
    reading.tx,
    rows.flatMap(({ kind, identityId }) => (isNeverFrozen(kind) || identityId === null ? [] : [identityId])),
  );
  const frozenBy = ({ kind, identityId }: RequestRow) =>
    isNeverFrozen(kind) || identityId === null ? [] : (freezes.get(identityId) ?? []);
  return await Promise.all(rows.map((row) => situationOf(reading, row, frozenBy(row))));
}

/** What a freeze never stops has nothing to do with it. */
function isNeverFrozen(kind: string): boolean {
  return kind === 'revocation' || kind === 'review';
}

async function situationOf(reading: Reading, row: RequestRow, freezes: readonly Freeze[]): Promise<RequestSituation> {
  const { flow, author } = await flowVersion(reading.tx, row.flowDigest);
  const state = row.flowState as unknown as FlowState;
  const stage = stageOf(flow, state);
  const parties: Parties = {
    requesters: row.requesters.map(({ principal }) => principal),
    onBehalfOf: row.requesters.flatMap(({ onBehalfOf }) => onBehalfOf ?? []),
    ...(row.identity === null ? {} : ownersOf(row.identity.ownerId, row)),
    flowAuthor: author,
  };
  const publication =
    row.publication === null ? undefined : proposalIn(row.publication.digest, row.publication.proposal);
  // A review shows the request, not what the directory says of people; `advance` asks that again under the lock.
  const person = (id: string) => ({ id, active: true, groups: [] });
  const review = reviewOf({
    stage,
    state,
    facts: {
      request: {
        id: row.id,
        revision: row.revision,
        kind: row.kind as RequestKind,
        flowDigest: row.flowDigest,
        requesterId: row.requesterId,
        onBehalfOf: row.onBehalfOf ?? '',
        ...proposed(row),
        ...askedFor(row),
        ...shownOfAgent(row.identity, row),
        ...(publication === undefined ? {} : { publication }),
      },
      parties,
      guardFacts: requestFactsOf({ ...row, publication }, person, row.updatedAt),
    },
  });
  // What has taken effect, or never will, is not counted again: it shows what it was decided by.
  const isOver =
    isFinalRequestState(row.state as RequestState) ||
    state.effect.committedVersion !== undefined ||
    state.effect.revoked;
  return {
    ...row,
    flowName: flow.metadata.name,
    stage,
    escalated: state.escalated,
    waitsUntil: waitsUntil(row, stage, state),
    waived: state.waived ?? [],
    retries: state.effect.retries,
    graceEndsAt: state.effect.graceEndsAt,
    parties,
    asker: {
      requesterId: row.requesterId,
      requesterKind: row.requesterKind as Asker['requesterKind'],
      onBehalfOf: row.onBehalfOf ?? '',
    },
    freezes,
    review,
    caseFile: caseFileOf(reading.evidence.personKey, review),
    voidBecause: (decision) => (isOver ? undefined : voidByContent(decisionKeysOf(reading), decision, review)),
  };
}

function stageOf(flow: Flow, state: FlowState): Stage | undefined {
  return flow.stages[state.stage];
}

function waitsUntil({ state }: RequestRow, stage: Stage | undefined, flowState: FlowState): string | undefined {
  if (stage === undefined || !('wait' in stage) || isFinalRequestState(state as RequestState)) return undefined;
  return instant(waitEndsMs(flowState, stage));
}

/** The recorded answer to an event of the request, when it was applied or refused before. */
export async function findVerdict(
  tx: Statements,
  { requestId, eventId }: { requestId: string; eventId: string },
): Promise<unknown> {
  const [row] = await tx.$queryRaw<{ verdict: unknown }[]>`
    SELECT "verdict" FROM "request_event" WHERE "requestId" = ${requestId} AND "id" = ${eventId}`;
  return row?.verdict;
}
