import { z } from 'zod';
import { credentialStates, identityStates, requestStates } from '../../domain/states.ts';
import type { Caller } from './caller.ts';

/** What of the API's answers the harness looks at. */

const Instant = z.iso.datetime().transform((text) => Date.parse(text));

export const RequestView = z.object({
  id: z.string(),
  kind: z.enum(['onboarding', 'rotation', 'revocation', 'review', 'step-up']),
  identityId: z.string(),
  state: z.enum(requestStates),
  reason: z.string().nullable(),
  revision: z.int(),
  sequence: z.int(),
  stage: z.string().nullable(),
  requester: z.string(),
  requesters: z.array(z.string()),
  review: z.object({ proposal: z.object({ reissue: z.boolean() }).nullish() }),
  digest: z.string(),
  justification: z.string(),
  heldBy: z.array(z.object({ kind: z.string(), id: z.string() })),
  retries: z.array(z.object({ step: z.string(), failedAttempts: z.int(), reason: z.string(), message: z.string() })),
  decisions: z.array(z.object({ stage: z.string(), approver: z.string(), verdict: z.string() })),
  createdAt: Instant,
});
export type RequestView = z.output<typeof RequestView>;

export const IdentityView = z.object({
  id: z.string(),
  name: z.string(),
  integration: z.string(),
  state: z.enum(identityStates),
  epoch: z.int(),
  frozenBy: z.array(z.object({ freezeId: z.string() })),
});
export type IdentityView = z.output<typeof IdentityView>;

export const CredentialView = z.object({
  version: z.int(),
  handle: z.string(),
  state: z.enum(credentialStates),
  requestId: z.string(),
  createdAt: Instant,
  committedAt: Instant.nullable(),
  isServed: z.boolean(),
  receipt: z.object({ method: z.enum(['tried', 'absent', 'unverifiable']) }).nullable(),
});
export type CredentialView = z.output<typeof CredentialView>;

export const FreezeView = z.object({ id: z.string(), liftedAt: Instant.nullable() });

const progress = { waiting: z.int(), underWay: z.int(), revoked: z.int(), stuck: z.int(), letGo: z.int() };

export const MassRevocationView = z.object({
  id: z.string(),
  state: z.enum(['running', 'paused', 'closed']),
  total: z.object(progress),
  report: z
    .object({
      subjects: z.object({ revoked: z.int(), letGo: z.int() }),
      receipts: z.object({ tried: z.int(), absent: z.int(), unverifiable: z.int(), missing: z.int() }),
      resolvedByHand: z.object({ count: z.int() }),
      residual: z.object({ count: z.int() }),
    })
    .nullable(),
});
export type MassRevocationView = z.output<typeof MassRevocationView>;

export const FindingView = z.object({
  part: z.string(),
  kind: z.string(),
  identityId: z.string(),
  detail: z.string(),
  state: z.enum(['open', 'repaired', 'accepted']),
});

export const SecretView = z.object({ version: z.int(), epoch: z.int(), login: z.string(), value: z.string() });

const Page = z.object({ items: z.array(z.unknown()), nextCursor: z.string().nullable() });

/** Whoever may see everything. */
export const observer = 'auditor';

/** Every item of a list, page after page. */
export async function listAll<T>(calls: Caller, path: string, schema: z.ZodType<T>): Promise<readonly T[]> {
  const items: T[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = new URLSearchParams({ limit: '200', ...(cursor === '' ? {} : { cursor }) }).toString();
    const answer = await calls.readSurely(observer, `${path}?${query}`);
    const page = Page.parse(answer.body);
    items.push(...page.items.map((item) => schema.parse(item)));
    cursor = page.nextCursor;
  }
  return items;
}

export async function credentialsOf(calls: Caller, identityId: string): Promise<readonly CredentialView[]> {
  const answer = await calls.readSurely(observer, `/v1/identities/${identityId}/credentials`);
  return z.object({ items: z.array(CredentialView) }).parse(answer.body).items;
}

export async function identityView(calls: Caller, identityId: string): Promise<IdentityView> {
  return IdentityView.parse((await calls.readSurely(observer, `/v1/identities/${identityId}`)).body);
}
