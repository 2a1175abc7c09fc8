import { z } from 'zod';
import { digestOfCaseFile } from '../../domain/caseFile.ts';
import type { Review } from '../../domain/decisions.ts';
import { triggers } from '../../domain/flow/facts.ts';
import { identityKinds, requestKinds } from '../../domain/flow/language.ts';
import { voidReasons } from '../../domain/flow/state.ts';
import { requestStates } from '../../domain/states.ts';
import type { RequestSituation } from '../../ledger/queries/requests.ts';
import type { Principal } from '../auth/principal.ts';
import { eligibilityOf, maxAgeSeconds, proofBySignIn } from '../eligibility.ts';
import { PolicyBody, RegistrationBody } from './agent.ts';
import { Id, Instant } from './fields.ts';
import { PublicationBody, PublicationReportBody } from './publication.ts';

const Risk = z
  .object({
    score: z.int(),
    contributions: z.array(z.object({ add: z.int(), because: z.string() })).readonly(),
  })
  .meta({ id: 'Risk', description: 'The score, and the weights of the flow that it is the sum of.' });

const reviewedRequest = {
  requestId: Id,
  revision: z.int(),
  kind: z.enum(requestKinds),
  trigger: z.enum(triggers),
  flowDigest: z.string(),
  stage: z.string(),
  requesterId: z.string(),
  onBehalfOf: z.string(),
  justification: z.string(),
  risk: z.exactOptional(Risk).meta({ description: 'Of a flow that weighs risk.' }),
};

const StepUpAskBody = z
  .object({
    tool: z.string(),
    action: z.string(),
    resource: z.string(),
    workspace: z.string(),
    audience: z.string(),
    ttl: z.exactOptional(z.string()),
    jkt: z.string().meta({ description: 'RFC 7638 thumbprint of the key that the grant is bound to.' }),
    isOnBehalfVerified: z
      .boolean()
      .meta({ description: 'Whether the person it acts for showed it by their own token.' }),
  })
  .meta({ id: 'StepUpAsk' });

/** Exactly what an approver is shown. */
export const ReviewOfIdentityBody = z
  .object({
    ...reviewedRequest,
    ownerId: z.string(),
    subject: z.object({
      id: Id,
      kind: z.enum(identityKinds),
      name: z.string(),
      environment: z.string(),
      purpose: z.string(),
      integration: z.string(),
      scopes: z.array(z.string()),
      consumers: z.array(z.string()),
      labels: z.record(z.string(), z.string()),
      expiresAt: Instant,
      issuer: z.string(),
      store: z.string(),
    }),
    proposal: z
      .exactOptional(
        z.object({
          freezeId: z.exactOptional(Id),
          scopes: z.exactOptional(z.array(z.string()).readonly()),
          newOwner: z.exactOptional(z.string()),
          reissue: z.boolean(),
        }),
      )
      .meta({ description: 'Of a review: what becomes of the subject when it passes.' }),
    policy: z.exactOptional(PolicyBody).meta({ description: 'Of an agent.' }),
    registration: z
      .exactOptional(RegistrationBody)
      .meta({ description: 'Of an onboarding or rotation of an agent: what it is to authenticate with.' }),
    stepUp: z.exactOptional(StepUpAskBody).meta({ description: 'Of a step-up: what is granted when it passes.' }),
  })
  .meta({ id: 'ReviewOfIdentity' });

const ReviewOfPublicationBody = z
  .object({ ...reviewedRequest, publication: PublicationBody })
  .meta({ id: 'ReviewOfPublication' });

const ReviewBody = z.union([ReviewOfIdentityBody, ReviewOfPublicationBody]).meta({
  id: 'Review',
  description: 'Exactly what is decided on.',
});

export const RequestBody = z
  .object({
    id: Id,
    kind: z.enum(requestKinds),
    identityId: Id.nullable().meta({ description: 'Null of a publication: it is about no identity.' }),
    state: z.enum(requestStates),
    reason: z
      .string()
      .nullable()
      .meta({ description: 'Why it ended as it did, or is stuck: a word of the problem catalogue or of the flow.' }),
    revision: z.int().meta({ description: 'Grows with each amendment; a decision is for one revision.' }),
    sequence: z.int().meta({ description: 'Grows with each event; `afterSequence` of the long-poll.' }),
    stage: z.string().nullable().meta({ description: 'The stage of the flow where it stands.' }),
    waitsUntil: Instant.nullable().meta({ description: 'When the wait at its stage is over; a pause keeps it there.' }),
    waived: z
      .array(
        z.object({
          stage: z.string(),
          exception: z
            .string()
            .meta({ description: 'The id of the exception in the flow, which says for whom and why.' }),
          until: Instant,
        }),
      )
      .meta({ description: 'Stages that an exception of the flow spared it.' }),
    flow: z.object({ name: z.string(), digest: z.string() }),
    trigger: z.enum(triggers),
    requester: z.string(),
    requesters: z.array(z.string()).meta({ description: 'Everyone who asked or joined.' }),
    onBehalfOf: z.string().nullable(),
    justification: z.string(),
    risk: Risk.nullable().meta({ description: 'As it was assessed last; null where the flow weighs none.' }),
    heldBy: z.array(
      z.object({
        kind: z.enum(['pause', 'freeze']),
        id: z.string(),
        by: z.string(),
        reason: z.string(),
        since: Instant,
      }),
    ),
    retries: z
      .array(
        z.object({
          step: z.string().meta({ description: 'What failed: the effect and its version or epoch.' }),
          failedAttempts: z.int(),
          retryAt: Instant,
          reason: z.string(),
          message: z.string(),
        }),
      )
      .meta({ description: 'What an issuer or store did not do yet; tried again by itself, at once by `retry`.' }),
    graceEndsAt: Instant.nullable().meta({
      description: 'When the replaced credential retires without waiting for acknowledgements.',
    }),
    decisions: z.array(
      z.object({
        id: z.string(),
        stage: z.string(),
        revision: z.int(),
        approver: z.string(),
        verdict: z.string().meta({ description: '`confirm` is a proof.' }),
        digest: z.string(),
        comment: z.string(),
        decidedAt: Instant,
        authenticatedAt: Instant.nullable().meta({ description: 'Of a proof: when its author had signed in.' }),
        withdrawnAt: Instant.nullable(),
        noLongerCounts: z.enum(voidReasons).nullable().meta({
          description:
            'Why it counts no more although it was not withdrawn: the request shows something else now, or the row is not what was signed.',
        }),
      }),
    ),
    review: ReviewBody,
    caseFile: z.record(z.string(), z.json()).meta({
      description:
        'The same as evidence keeps it: with `people` put in for the pseudonyms, it is `review`. Its RFC 8785 form has the SHA-256 `digest`.',
    }),
    people: z.record(z.string(), z.string()).meta({ description: 'Who the pseudonyms of `caseFile` are.' }),
    digest: z.string().meta({ description: 'SHA-256 (hex) of `caseFile`: what a decision must name.' }),
    report: z.exactOptional(PublicationReportBody).meta({
      description: 'Of a publication that is read by its id: the whole report, whose digest is in `review`.',
    }),
    documents: z
      .exactOptional(z.array(z.object({ name: z.string(), digest: z.string(), source: z.string() })))
      .meta({ description: 'The same: what would be published, as it was written.' }),
    forMe: z.object({
      mayDecide: z.boolean(),
      because: z.string().nullable().meta({ description: 'Why not: a problem slug.' }),
      detail: z.string().nullable(),
      proof: z
        .object({
          may: z.boolean(),
          because: z.string().nullable().meta({ description: 'Why not: a problem slug.' }),
          detail: z.string().nullable(),
          maxAgeSeconds: z
            .int()
            .nullable()
            .meta({ description: 'How old the sign-in may be, where a proof is asked for.' }),
        })
        .meta({ description: 'Whether you may prove, by the sign-in of this call.' }),
    }),
    createdAt: Instant,
    updatedAt: Instant,
    finishedAt: Instant.nullable(),
  })
  .meta({ id: 'Request' });
export type RequestBody = z.input<typeof RequestBody>;

/** @param principal for whom `forMe` answers, by the sign-in of this call as old as it is now */
export function requestBody(row: RequestSituation, principal: Principal, now = new Date()): RequestBody {
  const eligibility = eligibilityOf(row, principal);
  const proof = proofBySignIn(row, principal, { now });
  return {
    id: row.id,
    kind: row.review.kind,
    identityId: row.identityId,
    state: z.enum(requestStates).parse(row.state),
    reason: row.reason,
    revision: row.revision,
    sequence: row.sequence,
    stage: row.stage?.id ?? null,
    waitsUntil: row.waitsUntil ?? null,
    waived: row.waived.map((waiver) => ({ ...waiver })),
    flow: { name: row.flowName, digest: row.flowDigest },
    trigger: row.review.trigger,
    requester: row.requesterId,
    requesters: [...row.parties.requesters],
    onBehalfOf: row.onBehalfOf,
    justification: row.justification,
    risk: row.review.risk ?? null,
    heldBy: [
      ...row.pauses.map(({ id, principal: by, reason, createdAt }) => ({
        kind: 'pause' as const,
        id,
        by,
        reason,
        since: createdAt.toISOString(),
      })),
      ...row.freezes.map(({ id, openedBy: by, reason, createdAt }) => ({
        kind: 'freeze' as const,
        id,
        by,
        reason,
        since: createdAt.toISOString(),
      })),
    ],
    retries: Object.entries(row.retries).map(([step, { attempt, retryAt, reason, message }]) => ({
      step,
      failedAttempts: attempt - 1,
      retryAt,
      reason,
      message,
    })),
    graceEndsAt: row.graceEndsAt ?? null,
    decisions: row.decisions
      .map((decision) => ({ ...decision, noLongerCounts: noLongerCounts(row, decision) }))
      .map(
        ({
          id,
          stage,
          revision,
          approverId: approver,
          verdict,
          digest,
          comment,
          decidedAt,
          authenticatedAt,
          withdrawnAt,
          noLongerCounts,
        }) => ({
          id,
          stage,
          revision,
          approver,
          verdict,
          digest,
          comment,
          decidedAt: decidedAt.toISOString(),
          authenticatedAt: authenticatedAt?.toISOString() ?? null,
          withdrawnAt: withdrawnAt?.toISOString() ?? null,
          noLongerCounts,
        }),
      ),
    review: reviewBody(row.review),
    caseFile: { ...row.caseFile.published } as RequestBody['caseFile'],
    people: Object.fromEntries(row.caseFile.people),
    digest: digestOfCaseFile(row.caseFile.published),
    forMe: {
      ...(eligibility.may
        ? { mayDecide: true, because: null, detail: null }
        : { mayDecide: false, because: eligibility.slug, detail: eligibility.detail }),
      proof: {
        ...(proof.may
          ? { may: true, because: null, detail: null }
          : { may: false, because: proof.slug, detail: proof.detail }),
        maxAgeSeconds: maxAgeSeconds(row.stage) ?? null,
      },
    },
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  };
}

function noLongerCounts(
  { revision, voidBecause }: RequestSituation,
  decision: RequestSituation['decisions'][number],
): RequestBody['decisions'][number]['noLongerCounts'] {
  if (decision.withdrawnAt !== null || decision.revision !== revision) return null;
  return voidBecause(decision) ?? null;
}

function reviewBody(review: Review): RequestBody['review'] {
  if ('publication' in review) {
    const { items, weakening } = review.publication;
    return { ...review, publication: { ...review.publication, items: [...items], weakening: [...weakening] } };
  }
  const { subject } = review;
  return {
    ...review,
    subject: {
      ...subject,
      scopes: [...subject.scopes],
      consumers: [...subject.consumers],
      labels: { ...subject.labels },
    },
  };
}

export const requestExample: RequestBody = {
  id: 'qsch47vxnzj47kmpqx6qtfacpi',
  kind: 'onboarding',
  identityId: 'b5mzfaqsxcjgvhsx3bqvyyqzda',
  state: 'awaiting-approval',
  reason: null,
  revision: 1,
  sequence: 1,
  stage: 'security',
  waitsUntil: null,
  waived: [],
  flow: { name: 'production-service-account', digest: '9f2c66a1c1a2' },
  trigger: 'person',
  requester: 'requester@example.com',
  requesters: ['requester@example.com'],
  onBehalfOf: null,
  justification: 'The billing API moves to its own account',
  risk: null,
  heldBy: [],
  retries: [],
  graceEndsAt: null,
  decisions: [],
  review: {
    requestId: 'qsch47vxnzj47kmpqx6qtfacpi',
    revision: 1,
    kind: 'onboarding',
    trigger: 'person',
    flowDigest: '9f2c66a1c1a2',
    stage: 'security',
    requesterId: 'requester@example.com',
    onBehalfOf: '',
    ownerId: 'owner@example.com',
    justification: 'The billing API moves to its own account',
    subject: {
      id: 'b5mzfaqsxcjgvhsx3bqvyyqzda',
      kind: 'service-account',
      name: 'billing-api',
      environment: 'production',
      purpose: 'Reads invoices for the billing API',
      integration: 'payments',
      scopes: ['read'],
      consumers: ['pipeline:deploy'],
      labels: { team: 'billing' },
      expiresAt: '2027-01-31T12:00:00.000Z',
      issuer: 'main-db',
      store: 'sealed',
    },
  },
  caseFile: { caseFile: 1, requestId: 'qsch47vxnzj47kmpqx6qtfacpi', requesterId: 'p_6b1d…', justification: '…' },
  people: { 'p_6b1d…': 'requester@example.com' },
  digest: '3f0a4e',
  forMe: {
    mayDecide: true,
    because: null,
    detail: null,
    proof: {
      may: false,
      because: 'not-awaiting-proof',
      detail: 'Request qsch47vxnzj47kmpqx6qtfacpi is awaiting-approval; no proof is asked for.',
      maxAgeSeconds: null,
    },
  },
  createdAt: '2026-11-22T10:00:00.000Z',
  updatedAt: '2026-11-22T10:00:00.000Z',
  finishedAt: null,
};
