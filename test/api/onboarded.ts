import { Id } from '../../api/representations/fields.ts';
import { RequestBody, ReviewOfIdentityBody } from '../../api/representations/request.ts';
import type { ApiFixture, PersonName } from './apiFixture.ts';
import { onboarding } from './apiFixture.ts';

/** A request on an identity. */
export const RequestOnIdentity = RequestBody.extend({ identityId: Id, review: ReviewOfIdentityBody });

/** An onboarding that waits for security. */
export async function asked(api: ApiFixture, changes: Partial<typeof onboarding> = {}) {
  return (await api.as('requester', '/v1/identities', { body: { ...onboarding, ...changes } })).as(RequestOnIdentity);
}

/** This person's decision on what the request shows now. */
export async function decide(api: ApiFixture, person: PersonName, requestId: string, verdict = 'approve') {
  const { revision, digest } = (await api.as(person, `/v1/requests/${requestId}`)).as(RequestBody);
  return await api.as(person, `/v1/requests/${requestId}/decisions`, { body: { verdict, revision, digest } });
}

/** An active identity whose version 1 the store serves. */
export async function onboarded(
  api: ApiFixture,
  changes: Partial<typeof onboarding> = {},
): Promise<{ identityId: string; requestId: string }> {
  const { id: requestId, identityId } = await asked(api, changes);
  (await decide(api, 'security-1', requestId)).as(RequestBody);
  await api.carryOut(requestId);
  api.store.values.set(identityId, { kind: 'value', epoch: 1, version: 1, value: 'canary-secret-value' });
  return { identityId, requestId };
}
