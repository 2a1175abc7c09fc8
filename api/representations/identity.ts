import { z } from 'zod';
import { identityKinds } from '../../domain/flow/language.ts';
import { credentialStates, identityStates } from '../../domain/states.ts';
import type { IdentityRow, listCredentials } from '../../ledger/queries/identities.ts';
import { PolicyBody, RegistrationBody } from './agent.ts';
import { Id, Instant } from './fields.ts';

export const IdentityBody = z
  .object({
    id: Id,
    kind: z.enum(identityKinds),
    name: z.string(),
    environment: z.string(),
    owner: z.string().meta({ description: 'The person responsible for it.' }),
    purpose: z.string(),
    scopes: z.array(z.string()),
    integration: z.string(),
    labels: z.record(z.string(), z.string()),
    policy: z.exactOptional(PolicyBody).meta({
      description: 'Of an agent: what it was approved for. What is left of it are its scopes.',
    }),
    consumers: z.array(z.string()),
    expiresAt: Instant,
    issuer: z.string(),
    store: z.string(),
    state: z.enum(identityStates),
    epoch: z
      .int()
      .meta({ description: 'Taken anew by every commit, rollback and revocation; what the store serves carries it.' }),
    frozenBy: z.array(z.object({ freezeId: Id, reason: z.string(), since: Instant })),
    owedReissues: z
      .array(
        z.object({
          reviewId: Id.meta({ description: 'The review that ordered it.' }),
          since: Instant,
          replaces: z.int().meta({ description: 'This version and those before it: delivered by a newer one.' }),
          requestId: Id.nullable().meta({ description: 'The rotation that carries it out, or did last.' }),
          attempts: z.int().meta({ description: 'How often it was asked for again.' }),
        }),
      )
      .meta({ description: 'Ordered by reviews, and neither delivered nor undone by a responder.' }),
    createdAt: Instant,
  })
  .meta({ id: 'Identity' });
export type IdentityBody = z.input<typeof IdentityBody>;

export function identityBody(row: IdentityRow): IdentityBody {
  const {
    ownerId,
    agentPolicy,
    highestVersion: _internal,
    nameKey: _key,
    frozenBy,
    owedReissues,
    labels,
    expiresAt,
    createdAt,
    kind,
    state,
    ...same
  } = row;
  return {
    ...same,
    kind: z.enum(identityKinds).parse(kind),
    state: z.enum(identityStates).parse(state),
    owner: ownerId,
    ...(agentPolicy === null ? {} : { policy: PolicyBody.parse(agentPolicy) }),
    labels: z.record(z.string(), z.string()).parse(labels),
    expiresAt: expiresAt.toISOString(),
    createdAt: createdAt.toISOString(),
    frozenBy: frozenBy.map(({ id, reason, createdAt: since }) => ({
      freezeId: id,
      reason,
      since: since.toISOString(),
    })),
    owedReissues: owedReissues.map(({ reviewRequestId, orderedAt, highestVersion, requestId, attempts }) => ({
      reviewId: reviewRequestId,
      since: orderedAt.toISOString(),
      replaces: highestVersion,
      requestId,
      attempts,
    })),
  };
}

export const identityExample: IdentityBody = {
  id: 'b5mzfaqsxcjgvhsx3bqvyyqzda',
  kind: 'service-account',
  name: 'billing-api',
  environment: 'production',
  owner: 'owner@example.com',
  purpose: 'Reads invoices for the billing API',
  scopes: ['read'],
  integration: 'payments',
  labels: { team: 'billing' },
  consumers: ['pipeline:deploy'],
  expiresAt: '2027-01-31T12:00:00.000Z',
  issuer: 'main-db',
  store: 'sealed',
  state: 'active',
  epoch: 1,
  frozenBy: [],
  owedReissues: [],
  createdAt: '2026-11-22T10:00:00.000Z',
};

const Receipt = z.object({
  method: z.enum(['tried', 'absent', 'unverifiable']).meta({
    description:
      '`tried`: accepted before, refused now, while a control login succeeds; `absent`: the issuer lists it no more.',
  }),
  because: z.string(),
  at: Instant,
  stillUsable: z.array(z.object({ what: z.string(), until: z.string() })),
});

export const CredentialBody = z
  .object({
    version: z.int(),
    handle: z.string().meta({ description: 'Its name at the issuer.' }),
    state: z.enum(credentialStates),
    requestId: Id.meta({ description: 'The request that issued it.' }),
    fingerprint: z.string().nullable().meta({ description: 'A keyed hash: tells two values apart and nothing else.' }),
    epoch: z.int().nullable(),
    isServed: z.boolean().meta({ description: 'The store serves this version.' }),
    leaseEndsAt: Instant,
    expiresAt: Instant.nullable(),
    createdAt: Instant,
    committedAt: Instant.nullable(),
    promotedAt: Instant.nullable(),
    retiringAt: Instant.nullable(),
    destroyingAt: Instant.nullable(),
    destroyedAt: Instant.nullable(),
    receipt: Receipt.nullable().meta({ description: 'Proof that it can be used no more.' }),
    registration: z.exactOptional(RegistrationBody).meta({ description: "Of an agent's credential." }),
  })
  .meta({ id: 'Credential' });
export type CredentialBody = z.input<typeof CredentialBody>;

type CredentialRow = Awaited<ReturnType<typeof listCredentials>>[number];

export function credentialBody(row: CredentialRow, identityEpoch: number): CredentialBody {
  return {
    version: row.version,
    handle: row.handle,
    state: z.enum(credentialStates).parse(row.state),
    requestId: row.requestId,
    fingerprint: row.fingerprint,
    epoch: row.epoch,
    isServed: row.state === 'current' && row.promotedEpoch === identityEpoch,
    leaseEndsAt: row.leaseEndsAt.toISOString(),
    expiresAt: instantOf(row.expiresAt),
    createdAt: row.createdAt.toISOString(),
    committedAt: instantOf(row.committedAt),
    promotedAt: instantOf(row.promotedAt),
    retiringAt: instantOf(row.retiringAt),
    destroyingAt: instantOf(row.destroyingAt),
    destroyedAt: instantOf(row.destroyedAt),
    receipt: Receipt.nullable().parse(row.receipt),
    ...(row.request.registration === null ? {} : { registration: RegistrationBody.parse(row.request.registration) }),
  };
}

function instantOf(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

export const credentialExample: CredentialBody = {
  version: 1,
  handle: 'b5mzfaqsxcjgvhsx3bqvyyqzda-v1',
  state: 'current',
  requestId: 'qsch47vxnzj47kmpqx6qtfacpi',
  fingerprint: '5f8c2d',
  epoch: 1,
  isServed: true,
  leaseEndsAt: '2026-11-22T10:01:00.000Z',
  expiresAt: '2027-01-31T12:00:00.000Z',
  createdAt: '2026-11-22T10:00:00.000Z',
  committedAt: '2026-11-22T10:00:01.000Z',
  promotedAt: '2026-11-22T10:00:01.000Z',
  retiringAt: null,
  destroyingAt: null,
  destroyedAt: null,
  receipt: null,
};
