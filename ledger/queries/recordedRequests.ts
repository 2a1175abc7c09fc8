import { isAgentPrincipal } from '../../domain/agents.ts';
import type { RequestKind } from '../../domain/flow/language.ts';
import { type RecordedEvent, type RecordedRequest, recordVersion } from '../../domain/flow/recordedRequest.ts';
import { type FreezeMode, freezeModes } from '../../domain/freezeSelector.ts';
import { isFinalRequestState, type RequestState } from '../../domain/states.ts';
import type { Prisma } from '../../prisma/generated/client.ts';
import type { Transaction } from '../client.ts';
import { endedAt, isSubject } from '../freezeSubjects.ts';
import { requestFactsOf } from '../gatherFacts.ts';
import { findPeople, personOf } from '../people.ts';
import { proposalOf } from '../proposal.ts';
import { proposalIn } from '../publications.ts';

const pageLimit = 200;

export interface RecordsAsked {
  /** Only requests of the flow of this name, whatever its version. */
  readonly flowName?: string | undefined;
  readonly kind?: RequestKind;
  /** Only so many of them, the newest first. */
  readonly latest?: number;
}

/**
 * Every request asked for, oldest first unless `latest` is given, as `tenure flows simulate` plays it. Read in pages, so
 * memory stays bounded; a request opened meanwhile may be among them.
 *
 * The ledger knows subjects and people as they are now: an identity that was changed since, an owner who left, a group
 * somebody joined are recorded so. Of an amended request the last revision is recorded, as if it had been opened with it.
 */
export async function* recordedRequests(
  ledger: Transaction,
  { flowName, kind, latest }: RecordsAsked = {},
): AsyncGenerator<RecordedRequest> {
  const [order, beyond] = latest === undefined ? (['asc', 'gt'] as const) : (['desc', 'lt'] as const);
  let after: { createdAt: Date; id: string } | undefined;
  for (let left = latest ?? Number.POSITIVE_INFINITY; left > 0; ) {
    const rows = await ledger.request.findMany({
      where: {
        ...(flowName === undefined ? {} : { flow: { name: flowName } }),
        ...(kind === undefined ? {} : { kind }),
        ...(after === undefined
          ? {}
          : {
              OR: [
                { createdAt: { [beyond]: after.createdAt } },
                { createdAt: after.createdAt, id: { [beyond]: after.id } },
              ],
            }),
      },
      include: related,
      orderBy: [{ createdAt: order }, { id: order }],
      take: Math.min(pageLimit, left),
    });
    if (rows.length === 0) return;
    yield* await recordsOf(ledger, rows);
    after = rows.at(-1);
    left -= rows.length;
  }
}

const related = {
  identity: true,
  publication: { select: { digest: true, proposal: true } },
  requesters: { orderBy: { joinedAt: 'asc' } },
  decisions: true,
  pauses: true,
  events: { where: { kind: 'decision' } },
  flow: { select: { author: true } },
} as const satisfies Prisma.RequestInclude;
type RequestRow = Prisma.RequestGetPayload<{ include: typeof related }>;

interface FreezeRow {
  readonly requestId: string;
  readonly id: string;
  readonly mode: string;
  readonly since: Date;
  readonly until: Date | null;
}

interface Around {
  readonly now: Date;
  readonly person: (id: string) => { id: string; active: boolean; groups: readonly string[] };
  readonly freezes: ReadonlyMap<string, readonly FreezeRow[]>;
}

async function recordsOf(ledger: Transaction, rows: readonly RequestRow[]): Promise<readonly RecordedRequest[]> {
  const ids = rows.map(({ id }) => id);
  // Of each, those that held its identity at some time while it was open.
  const freezes = await ledger.$queryRaw<FreezeRow[]>`
    SELECT r."id" AS "requestId", f."id", f."mode", f."createdAt" AS "since", ${endedAt} AS "until"
    FROM "request" r JOIN "identity" i ON i."id" = r."identityId" JOIN "freeze" f ON ${isSubject}
    WHERE r."id" = ANY(${ids}::text[]) AND f."createdAt" < coalesce(r."finishedAt", clock_timestamp())
      AND (${endedAt} IS NULL OR ${endedAt} > r."createdAt")
    ORDER BY f."createdAt", f."id"`;
  const named = rows.flatMap((row) => [
    row.identity?.ownerId,
    row.requesterId,
    row.onBehalfOf,
    proposalOf(row)?.newOwner,
    ...row.decisions.map(({ approverId }) => approverId),
  ]);
  const people = await findPeople(
    ledger,
    named.filter((id) => id !== null && id !== undefined),
  );
  const [clock] = await ledger.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS "now"`;
  const around: Around = {
    now: clock?.now ?? new Date(),
    person: (id) => (isAgentPrincipal(id) ? { id, active: true, groups: [] } : personOf(people, id)),
    freezes: Map.groupBy(freezes, ({ requestId }) => requestId),
  };
  return rows.map((row) => recordOf(row, around));
}

function recordOf(row: RequestRow, around: Around): RecordedRequest {
  const untilMs = (row.finishedAt ?? around.now).getTime();
  const events = [
    ...decisionEvents(row, around),
    ...row.pauses.flatMap(({ principal, createdAt, liftedAt }) => [
      { at: createdAt, event: { pause: principal } },
      // Whoever lifted it: for the request it is as if the same person had.
      ...(liftedAt === null ? [] : [{ at: liftedAt, event: { resume: principal } }]),
    ]),
    ...(around.freezes.get(row.id) ?? []).flatMap(({ id, mode, since, until }) => [
      { at: since, event: { freeze: id, mode: modeOf(mode) } },
      ...(until === null ? [] : [{ at: until, event: { thaw: id } }]),
    ]),
    ...row.requesters
      .filter(({ principal }) => principal !== row.requesterId)
      .map(({ principal, onBehalfOf, joinedAt }) => ({
        at: joinedAt,
        event: { joined: principal, ...(onBehalfOf === null ? {} : { onBehalfOf }) },
      })),
    ...(isCancelledByPerson(row) ? [{ at: row.finishedAt ?? around.now, event: { cancel: 'somebody' } }] : []),
  ]
    .filter(({ at }) => at.getTime() <= untilMs)
    .sort((one, other) => one.at.getTime() - other.at.getTime())
    .map(({ at, event }): RecordedEvent => ({ at: at.toISOString(), ...event }));
  const { publication } = row;
  const proposal = publication === null ? undefined : proposalIn(publication.digest, publication.proposal);
  const state = row.state as RequestState;
  return {
    version: recordVersion,
    id: row.id,
    facts: requestFactsOf({ ...row, publication: proposal }, around.person, row.createdAt),
    flowAuthor: row.flow.author,
    events,
    until: new Date(untilMs).toISOString(),
    ...(isFinalRequestState(state) ? { ended: { state, ...(row.reason === null ? {} : { reason: row.reason }) } } : {}),
  };
}

function decisionEvents({ revision, decisions, events }: RequestRow, { person }: Around) {
  // By the ledger's clock: a decision's own instant is the API's.
  const takenAt = new Map(events.map(({ id, at }) => [id, at]));
  return decisions
    .filter((decision) => decision.revision === revision)
    .flatMap(({ id, verdict, approverId, decidedAt, authenticatedAt, withdrawnAt }) => {
      const by = person(approverId);
      const decision = verdict === 'deny' ? ('deny' as const) : ('approve' as const);
      const event =
        authenticatedAt === null ? { decision, by } : { confirm: by, authenticatedAt: authenticatedAt.toISOString() };
      return [
        { at: takenAt.get(`decision:${id}`) ?? decidedAt, event },
        ...(withdrawnAt === null ? [] : [{ at: withdrawnAt, event: { decision: 'withdraw' as const, by } }]),
      ];
    });
}

function modeOf(mode: string): FreezeMode {
  return freezeModes.find((known) => known === mode) ?? 'hold';
}

/** A freeze's own cancel is played by the freeze; one by a revocation belongs to that request. */
function isCancelledByPerson({ state, reason }: RequestRow): boolean {
  return state === 'cancelled' && reason !== 'frozen' && reason !== 'revoking';
}
