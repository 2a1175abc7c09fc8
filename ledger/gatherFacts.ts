import { agentPrincipal, isAgentPrincipal } from '../domain/agents.ts';
import type { Approver } from '../domain/decisions.ts';
import { authorsOf, jointAuthor } from '../domain/flow/authors.ts';
import type {
  Facts,
  IdentityRequestFacts,
  PublicationRequestFacts,
  RequesterFacts,
  SharedFacts,
  StepUpRequestFacts,
} from '../domain/flow/facts.ts';
import { reviewOf } from '../domain/flow/judge.ts';
import type { Flow, IdentityKind, IsoDuration, RequestKind } from '../domain/flow/language.ts';
import type { OrderFacts } from '../domain/flow/orders.ts';
import { type PublicationProposal, publicationFactsOf } from '../domain/flow/publication.ts';
import type { CredentialFacts, EndedHold, FlowState, Hold, LedgerFacts, ReissueFacts } from '../domain/flow/state.ts';
import { type CredentialState, type IdentityState, isFinalRequestState, type RequestState } from '../domain/states.ts';
import { type Identity, Prisma, type Request } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { countedDecisions } from './countedDecisions.ts';
import type { StoredDecision } from './decisionStanding.ts';
import { type ChainHead, headOf, requestChain } from './evidence.ts';
import { flowVersion } from './flows.ts';
import { endedAt, holds, isSubject } from './freezeSubjects.ts';
import { type LockedCredential, type LockedRequest, lockRequest } from './lockedRequest.ts';
import { onePerson, type PersonNow, peopleNow, personOf } from './people.ts';
import { ownersOf, type Proposing, proposalOf, proposed } from './proposal.ts';
import { findProposal, lockedSetDigest, PublicationDamaged } from './publications.ts';
import { shownOfAgent } from './registration.ts';
import { isOwed } from './reissueOrders.ts';
import { isAltered, readRequestRecord, type StoredEntry } from './requestRecord.ts';
import type { Statements } from './statements.ts';
import { type Agent, type Asking, agentPolicyOf, askedFor, stepUpFactsOf } from './stepUpAsk.ts';
import { type AsJson, decisionOf } from './storedRows.ts';

export interface Gathered {
  readonly flow: Flow;
  readonly state: FlowState;
  readonly facts: LedgerFacts;
  readonly now: Date;
  readonly sequence: number;
  readonly workflowId: string;
  /** The recorded verdict of this event id, when it is known. */
  readonly knownVerdict: unknown;
  /** Since when the ledger is observe-only (ledger/restore.ts); null while it may act. */
  readonly observedSince: Date | null;
  readonly approver: { id: string; active: boolean; groups: readonly string[] } | undefined;
  /** Of the request's own chain, which is locked: its evidence is appended without asking again. */
  readonly chainHead: ChainHead;
}

interface Surroundings {
  now: Date;
  /** Whether any freeze is in force at all. */
  isAnyFrozen: boolean;
  /** As they were recorded, and who that is now. */
  requesters: { principal: string; onBehalfOf: string | null; principalNow: string; onBehalfOfNow: string | null }[];
  /** Of the present revision, not withdrawn; oldest first. */
  decisions: FoundDecision[];
  /** The first entry of the request's chain. */
  firstEntry: StoredEntry | null;
  pauses: Hold[];
  acknowledgedBy: string[];
  orders: OrderFacts[];
  reissues: ReissueFacts[];
  people: PersonNow[];
  knownVerdict: unknown;
  observedSince: Date | null;
  /** Null while the chain has no entry. */
  chainHead: { position: number; mac: string } | null;
}

interface FoundDecision {
  readonly stored: AsJson<StoredDecision>;
  /** As the directory knows that person now. */
  readonly approver: Approver;
}

/** What a request is about, locked. */
type About =
  | LockedRequest
  | { readonly publication: PublicationProposal; readonly publishedSet: string; readonly request: Request };

/**
 * Locks the identity (of a publication: the published set), then the request, then its credentials (always in this order),
 * and gathers all that `advance` may read, by the database's clock. Call it after the freeze lock, in the same transaction.
 * Of an identity both are asked for at once: PostgreSQL reads once the locks are held, as each statement sees what was
 * committed before it began.
 * @returns undefined when there is no such request
 * @throws PublicationDamaged when what a publication would publish is not what decisions are bound to
 */
export async function gatherFacts(
  tx: Statements,
  ledger: Ledger,
  asked: { requestId: string; eventId: string; approverId: string | undefined },
): Promise<Gathered | undefined> {
  const [locked, beside] = await Promise.all([lockRequest(tx, asked.requestId), surroundings(tx, asked)]);
  const about = locked ?? (await lockPublication(tx, asked.requestId));
  if (about === undefined) return undefined;
  // What was read beside the question for an identity was read before the locks of a publication.
  const around = locked === undefined ? await surroundings(tx, asked) : beside;
  if (around === undefined) return undefined;
  const { request } = about;
  const identity = 'identity' in about ? about.identity : undefined;
  const state = request.flowState as unknown as FlowState;
  // What has taken effect, or never will, is not counted again.
  const isCounted =
    around.decisions.length > 0 &&
    state.effect.committedVersion === undefined &&
    !isFinalRequestState(request.state as RequestState);
  const [freezes, endedHolds, record] = await Promise.all([
    around.isAnyFrozen && identity !== undefined ? freezesHolding(tx, identity.id) : [],
    request.kind === 'rotation' ? holdsEnded(tx, request.id) : [],
    isCounted ? readRequestRecord(tx, ledger.evidence, request.id) : undefined,
  ]);
  const { flow, author } = await flowVersion(tx, request.flowDigest);
  const person = (id: string): Approver =>
    identity !== undefined && id === agentPrincipal(identity.id)
      ? { id, active: identity.state === 'active', groups: [] }
      : personOf(around.people, id);
  const machines = around.requesters.map(({ onBehalfOfNow }) => onBehalfOfNow).filter((id) => id !== null);
  const facts: LedgerFacts = {
    request: {
      id: request.id,
      kind: request.kind as RequestKind,
      state: request.state as RequestState,
      ...(request.reason === null ? {} : { reason: request.reason }),
      revision: request.revision,
      flowDigest: request.flowDigest,
      requesterId: request.requesterId,
      onBehalfOf: request.onBehalfOf ?? '',
      createdAt: request.createdAt.toISOString(),
      ...(identity === undefined ? {} : { ownerId: identity.ownerId }),
      ...proposed(request),
      ...askedFor(request),
      ...shownOfAgent(identity ?? null, request),
      ...('publication' in about ? { publication: about.publication } : {}),
      ...(isAltered(ledger.evidence, request, around.firstEntry) ? { isAltered: true } : {}),
    },
    ...('publication' in about
      ? { publishedSet: about.publishedSet }
      : {
          identity: {
            id: about.identity.id,
            state: about.identity.state as IdentityState,
            epoch: about.identity.epoch,
            highestVersion: about.identity.highestVersion,
            ...grantTtlOf(about.identity),
          },
        }),
    credentials: ('credentials' in about ? about.credentials : []).map(credentialFactsOf),
    guardFacts:
      'publication' in about
        ? publicationGuardFacts(about.publication, request, person, around.now)
        : guardFactsOf(about.identity, request, person, around.now),
    parties: {
      requesters: around.requesters.map(({ principalNow }) => principalNow),
      onBehalfOf: machines,
      ...(identity === undefined ? {} : ownersNow(ownersOf(identity.ownerId, request), person)),
      flowAuthor: jointAuthor(authorsOf(author).map((id) => person(id).id)),
    },
    decisions: [],
    holds: [...around.pauses, ...freezes],
    endedHolds,
    acknowledgedBy: around.acknowledgedBy,
    reissues: around.reissues,
    leaseMs: ledger.leaseMs,
    orders: around.orders,
  };
  const given = around.decisions.map(({ stored, approver }) => ({
    stored: decisionOf(stored),
    approver: isAgentPrincipal(stored.approverId) ? person(stored.approverId) : approver,
  }));
  const present = () => reviewOf({ stage: undefined, state, facts });
  return {
    flow,
    state,
    now: around.now,
    sequence: request.sequence,
    workflowId: request.workflowId,
    knownVerdict: around.knownVerdict,
    observedSince: around.observedSince,
    chainHead: headOf(requestChain(request.id), around.chainHead),
    approver: asked.approverId === undefined ? undefined : person(asked.approverId),
    facts: {
      ...facts,
      ...countedDecisions(ledger, given, { present, record, requesters: around.requesters }),
    },
  };
}

/** The same owners, each by the one id of that person. */
export function ownersNow(
  { ownerId, newOwnerId }: ReturnType<typeof ownersOf>,
  person: (id: string) => { readonly id: string },
): ReturnType<typeof ownersOf> {
  return {
    ...(ownerId === undefined ? {} : { ownerId: person(ownerId).id }),
    ...(newOwnerId === undefined ? {} : { newOwnerId: person(newOwnerId).id }),
  };
}

function grantTtlOf(identity: Identity): { readonly grantTtl?: IsoDuration } {
  const grantTtl = agentPolicyOf(identity)?.grantTtl;
  return grantTtl === undefined ? {} : { grantTtl };
}

function credentialFactsOf(credential: LockedCredential): CredentialFacts {
  const { version, state, requestId, leaseEndsAt, expiresAt, promotedEpoch, lastUsedAt, receipt } = credential;
  return {
    version,
    state: state as CredentialState,
    requestId,
    leaseEndsAt: new Date(leaseEndsAt).toISOString(),
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(promotedEpoch === null ? {} : { promotedEpoch }),
    ...(lastUsedAt === null ? {} : { lastUsedAt: new Date(lastUsedAt).toISOString() }),
    hasReceipt: receipt !== null,
  };
}

async function lockPublication(tx: Statements, requestId: string): Promise<Exclude<About, LockedRequest> | undefined> {
  const publishedSet = await lockedSetDigest(tx);
  const [request] = await tx.$queryRaw<Request[]>`SELECT * FROM "request" WHERE "id" = ${requestId} FOR UPDATE`;
  if (request === undefined) return undefined;
  const digest = request.publicationDigest ?? '';
  const publication = await findProposal(tx, digest);
  if (publication === undefined) throw new PublicationDamaged(digest);
  return { publication, publishedSet, request };
}

/**
 * In one statement, since every step pays for it; undefined when there is no such request. Whom freezes hold is another
 * question, asked where there is any: to set up its plan costs PostgreSQL more than all of this. None comes between the two,
 * as the freeze lock is held.
 */
async function surroundings(
  tx: Statements,
  asked: { requestId: string; eventId: string; approverId: string | undefined },
): Promise<Surroundings | undefined> {
  const [row] = await tx.$queryRaw<Surroundings[]>`
    SELECT clock_timestamp() AS "now",
      (SELECT coalesce(json_agg(json_build_object('principal', q."principal", 'onBehalfOf', q."onBehalfOf",
           'principalNow', ${onePerson(Prisma.sql`q."principal"`)}, 'onBehalfOfNow', ${onePerson(Prisma.sql`q."onBehalfOf"`)})
           ORDER BY q."joinedAt"), '[]')
         FROM "requester" q WHERE q."requestId" = r."id") AS "requesters",
      (SELECT coalesce(json_agg(json_build_object('stored', to_jsonb(d) - 'withdrawnAt', 'approver',
           json_build_object('id', coalesce(a."id", d."approverId"), 'active', coalesce(a."active", false),
             'groups', coalesce(a."groups", '{}'))) ORDER BY d."decidedAt", d."id"), '[]')
         FROM "decision" d LEFT JOIN LATERAL ${peopleNow(Prisma.sql`ARRAY[d."approverId"]`)} a ON true
         WHERE d."requestId" = r."id" AND d."revision" = r."revision" AND d."withdrawnAt" IS NULL) AS "decisions",
      (SELECT coalesce(json_agg(json_build_object('kind', 'pause', 'id', "id", 'by', ${onePerson(Prisma.sql`"principal"`)}, 'since', "createdAt")), '[]')
         FROM "pause" WHERE "requestId" = r."id" AND "liftedAt" IS NULL) AS "pauses",
      EXISTS (SELECT FROM "freeze" WHERE "liftedAt" IS NULL) AS "isAnyFrozen",
      (SELECT coalesce(json_agg("consumer"), '[]') FROM "acknowledgement"
         WHERE "identityId" = i."id" AND "epoch" = i."epoch") AS "acknowledgedBy",
      (SELECT coalesce(json_agg(json_strip_nulls(json_build_object('id', "effectId", 'nonce', "nonce", 'activity', "activity",
           'input', "input", 'lastFailure', "lastFailure",
           'answer', CASE WHEN "outcome" IS NULL THEN NULL ELSE json_build_object('outcome', "outcome", 'begunAt', "begunAt") END))), '[]')
         FROM "effect_order" WHERE "requestId" = r."id" AND "closedAt" IS NULL) AS "orders",
      (SELECT coalesce(json_agg(json_strip_nulls(json_build_object('id', o."reviewRequestId", 'highestVersion', o."highestVersion",
           'isOwed', ${isOwed}, 'carriedBy', o."requestId")) ORDER BY o."orderedAt", o."reviewRequestId"), '[]')
         FROM "reissue_order" o WHERE o."identityId" = i."id") AS "reissues",
      (SELECT coalesce(json_agg(a), '[]') FROM ${peopleNow(Prisma.sql`(ARRAY[i."ownerId", r."proposal" ->> 'newOwner', r."requesterId", r."onBehalfOf",
           ${asked.approverId ?? null}::text] || string_to_array((
             SELECT v."author" FROM "flow_version" v WHERE v."digest" = r."flowDigest"), ' and '))`)} a) AS "people",
      (SELECT "verdict" FROM "request_event" WHERE "requestId" = r."id" AND "id" = ${asked.eventId}) AS "knownVerdict",
      (SELECT min("detectedAt") FROM "ledger_restore" WHERE "resumedAt" IS NULL) AS "observedSince",
      (SELECT json_build_object('position', "position", 'mac', encode("mac", 'hex'))
         FROM "evidence_chain_heads"(ARRAY['request/' || r."id"]::text[])) AS "chainHead",
      (SELECT json_build_object('body', "body", 'mac', encode("mac", 'hex')) FROM "evidence_entry"
         WHERE "chain" = 'request/' || r."id" AND "position" = 0) AS "firstEntry"
    FROM "request" r LEFT JOIN "identity" i ON i."id" = r."identityId" WHERE r."id" = ${asked.requestId}`;
  return row;
}

async function freezesHolding(tx: Statements, identityId: string): Promise<readonly Hold[]> {
  const rows = await tx.$queryRaw<{ hold: Hold }[]>`
    SELECT json_strip_nulls(json_build_object('kind', 'freeze', 'id', f."id", 'by', f."openedBy", 'since', f."createdAt",
      'mode', f."mode", 'cause', split_part(f."cause", '/', 1), 'ordersReissue', (
        SELECT (o."proposal" ->> 'reissue')::boolean FROM "freeze_review_order" o WHERE o."freezeId" = f."id"
        ORDER BY o."createdAt" DESC, o."id" DESC LIMIT 1))) AS "hold"
    FROM "freeze" f JOIN "identity" i ON i."id" = ${identityId} WHERE ${holds}`;
  return rows.map(({ hold }) => hold);
}

/** Only the clock of a rotation's grace window asks for them. */
async function holdsEnded(tx: Statements, requestId: string): Promise<readonly EndedHold[]> {
  const rows = await tx.$queryRaw<{ ended: EndedHold }[]>`
    SELECT json_build_object('since', h."since", 'until', h."until") AS "ended" FROM (
      SELECT "createdAt" AS "since", "liftedAt" AS "until" FROM "pause"
        WHERE "requestId" = ${requestId} AND "liftedAt" IS NOT NULL
      UNION ALL
      SELECT f."createdAt", ${endedAt} FROM "freeze" f
        JOIN "request" r ON r."id" = ${requestId} JOIN "identity" i ON i."id" = r."identityId"
        WHERE ${endedAt} > r."createdAt" AND ${isSubject}) h
    ORDER BY h."since"`;
  return rows.map(({ ended }) => ended);
}

export type AskedRequest = Pick<
  Request,
  'kind' | 'trigger' | 'justification' | 'requesterId' | 'requesterKind' | 'onBehalfOf'
>;
export type PersonOf = (id: string) => { id: string; active: boolean; groups: readonly string[] };

/** The facts guards read, of a request on an identity that exists or is about to. */
export function guardFactsOf(
  identity: Omit<Identity, 'labels' | 'agentPolicy'> & Agent & { readonly labels: unknown },
  request: AskedRequest & Proposing & Asking,
  person: PersonOf,
  now: Date,
): IdentityRequestFacts | StepUpRequestFacts {
  return {
    subject: {
      id: identity.id,
      kind: identity.kind as IdentityKind,
      name: identity.name,
      environment: identity.environment,
      purpose: identity.purpose,
      integration: identity.integration,
      scopes: identity.scopes,
      consumers: identity.consumers,
      labels: identity.labels as Record<string, string>,
      expiresAt: identity.expiresAt.toISOString(),
      issuer: identity.issuer,
      store: identity.store,
    },
    // Of a review that names a new owner, that is who must be fit to own it.
    owner: person(proposalOf(request)?.newOwner ?? identity.ownerId),
    ...stepUpFactsOf(identity, request),
    ...sharedFacts(request, person, now),
  };
}

/** The same of a publication that exists or is about to. */
export function publicationGuardFacts(
  proposal: PublicationProposal,
  request: AskedRequest,
  person: PersonOf,
  now: Date,
): PublicationRequestFacts {
  return { publication: publicationFactsOf(proposal), ...sharedFacts(request, person, now) };
}

/**
 * The same of a stored request of either kind.
 * @throws PublicationDamaged for a row that is about neither: PostgreSQL keeps it so that there is none
 */
export function requestFactsOf(
  row: AskedRequest &
    Proposing &
    Asking & {
      readonly id: string;
      readonly identity: Identity | null;
      readonly publication: PublicationProposal | undefined;
    },
  person: PersonOf,
  now: Date,
): Facts {
  if (row.identity !== null) return guardFactsOf(row.identity, row, person, now);
  if (row.publication === undefined) throw new PublicationDamaged(row.id);
  return publicationGuardFacts(row.publication, row, person, now);
}

function sharedFacts(request: AskedRequest, person: PersonOf, now: Date): SharedFacts {
  const requester = request.requesterKind === 'person' ? person(request.requesterId) : undefined;
  return {
    requester: {
      ...(requester ?? { id: request.requesterId, active: true, groups: [] }),
      kind: request.requesterKind as RequesterFacts['kind'],
    },
    onBehalfOf: request.onBehalfOf === null ? { id: '', active: false, groups: [] } : person(request.onBehalfOf),
    request: {
      kind: request.kind as RequestKind,
      trigger: request.trigger as SharedFacts['request']['trigger'],
      justification: request.justification,
    },
    // `advance` assesses it, by the weights of the flow: until a flow is chosen, nothing reads it.
    risk: { score: 0 },
    now: now.toISOString(),
  };
}
