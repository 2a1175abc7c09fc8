import { z } from 'zod';
import type { OpenResult } from '../../contracts/open.ts';
import { acknowledge } from '../../ledger/acknowledge.ts';
import { narrowIdentity } from '../../ledger/changes.ts';
import { idAmong } from '../../ledger/people.ts';
import type { IdentityRow } from '../../ledger/queries/identities.ts';
import { revokeNow } from '../../ledger/revoke.ts';
import { requireUsable } from '../agentOrder.ts';
import { mayDo } from '../auth/pipelines.ts';
import type { Principal } from '../auth/principal.ts';
import { requireStanding } from '../auth/standing.ts';
import { visibleIdentity, visibleRequest } from '../findVisible.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import { peopleNamed, personNamed } from '../namedPeople.ts';
import { nudgeSoon } from '../nudge.ts';
import { openedReply } from '../openedReply.ts';
import { openRequest, orderFor } from '../openRequest.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest, Problem, refusalProblem } from '../problem.ts';
import { Registration } from '../representations/agent.ts';
import { consumers, Id, Instant, noQuery, person, Reason, scopes } from '../representations/fields.ts';
import { IdentityBody, identityBody, identityExample } from '../representations/identity.ts';
import { RequestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';
import { proposalOf, reviewTrigger } from './reviews.ts';

const tag = 'Life of an identity';
const OneIdentity = z.strictObject({ identityId: Id });
const Rotation = z
  .strictObject({
    justification: Reason,
    registration: Registration.optional().meta({
      description: 'Of an agent: what it authenticates with from now on. Required where that is a public key.',
    }),
  })
  .meta({ id: 'Rotation' });
const Justified = z.strictObject({ justification: Reason }).meta({ id: 'Justified' });
const opened = {
  status: 202,
  description: 'The request, open. Long-poll it at Location.',
  schema: RequestBody,
  headers: { Location: 'The request.' },
} as const;

const Changes = z
  .strictObject({
    scopes: scopes.min(1).optional(),
    consumers: consumers.optional(),
    expiresAt: Instant.optional(),
    owner: person.optional(),
    reason: Reason,
  })
  .meta({ id: 'Changes' });

export function lifecycleRoutes(deps: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/rotations',
      operationId: 'rotateIdentity',
      tag,
      summary: 'Rotate the credential',
      description:
        'Opens a rotation, or joins the one that is running when its flow is the same and nothing was issued yet. For requesters, the owner, and pipelines that tenure.yaml allows it.',
      access: { kinds: ['person', 'pipeline'] },
      params: OneIdentity,
      query: noQuery,
      body: Rotation,
      bodyExample: { justification: 'Deployed release 42' },
      reply: { ...opened, example: { ...requestExample, kind: 'rotation' } },
      problems: [
        'not-found',
        'request-running',
        'not-active',
        'revoking',
        'frozen',
        'no-flow',
        'ambiguous-flow',
        'registration-required',
        'registration-taken',
      ],
      async handle({ principal, params, body, key }) {
        const identity = await visibleIdentity(deps, principal, params.identityId);
        requireMayRotate(principal, identity);
        const { registration } = body;
        if (registration !== undefined) requireUsable(registration, deps.configuration, 'body.registration');
        const call = keyedCall('rotation', { principal, key, params, body });
        const trigger = principal.kind === 'pipeline' ? 'pipeline' : 'person';
        const order = orderFor(deps, call, principal, {
          kind: 'rotation',
          identityId: identity.id,
          trigger,
          justification: body.justification,
          ...(registration === undefined ? {} : { registration }),
        });
        return await openedReply(deps, principal, await openRequest(deps, call, () => deps.gateway.open(order)));
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/revocation',
      operationId: 'revokeIdentity',
      takesUnvouched: true,
      tag,
      summary: 'Revoke the identity',
      description:
        'By a responder: takes effect at once, Temporal up or down. By the owner or a requester: the flow comes first.',
      isSafety: 'of-responders',
      access: { kinds: ['person'] },
      params: OneIdentity,
      query: noQuery,
      body: Justified,
      bodyExample: { justification: 'Compromised build host, ticket 4711' },
      reply: { ...opened, example: { ...requestExample, kind: 'revocation' } },
      problems: ['not-found', 'request-running', 'not-active', 'no-flow', 'ambiguous-flow'],
      async handle({ principal, params, body, key }) {
        const identity = await visibleIdentity(deps, principal, params.identityId);
        requireStanding(principal, 'revoke this identity', {
          roles: ['responder', 'requester'],
          // Asking for it is more than stopping, which is what an account that nobody vouches for may.
          principals: principal.isUnvouched ? [] : [identity.ownerId],
        });
        const call = keyedCall('revocation', { principal, key, params, body });
        const isResponder = principal.roles.includes('responder');
        const order = {
          ...orderFor(deps, call, principal, {
            kind: 'revocation',
            identityId: identity.id,
            trigger: isResponder ? 'incident' : 'person',
            justification: body.justification,
          }),
          kind: 'revocation' as const,
        };
        const way = (): Promise<OpenResult> => (isResponder ? revokeNow(deps.ledger, order) : deps.gateway.open(order));
        const requestId = await openRequest(deps, call, way);
        if (isResponder) nudgeSoon(deps, await visibleRequest(deps, principal, requestId));
        return await openedReply(deps, principal, requestId);
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/acknowledgements',
      operationId: 'acknowledgeCutover',
      tag,
      summary: 'Say that you use the new credential',
      description:
        'By a registered consumer, for the epoch that `/secret` served. When all have, the old credential retires before its deadline.',
      access: { kinds: ['person', 'pipeline'] },
      params: OneIdentity,
      query: noQuery,
      body: z.strictObject({ epoch: z.int().min(1) }).meta({ id: 'Acknowledgement' }),
      bodyExample: { epoch: 2 },
      reply: {
        status: 201,
        description: 'Recorded.',
        schema: z.object({ identityId: Id, epoch: z.int(), consumer: z.string() }),
        example: { identityId: identityExample.id, epoch: 2, consumer: 'pipeline:deploy' },
      },
      problems: ['not-found', 'not-a-consumer', 'wrong-epoch', 'revoking'],
      async handle({ principal, params, body, key }) {
        const { identityId } = params;
        await bindKey(deps, keyedCall('acknowledgement', { principal, key, params, body }));
        const result = await acknowledge(deps.ledger, { identityId, epoch: body.epoch, consumer: principal.id });
        if (!result.acknowledged) throw refusalProblem(result);
        if (result.openRequestId !== undefined)
          nudgeSoon(deps, await visibleRequest(deps, principal, result.openRequestId));
        return { body: { identityId, epoch: body.epoch, consumer: principal.id } };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/identities/{identityId}/changes',
      operationId: 'changeIdentity',
      tag,
      summary: 'Narrow the identity, or hand it to a new owner',
      description:
        'Fewer scopes, fewer consumers, an earlier expiry: at once, for the owner, responders and administrators. A new owner, with fewer scopes where given, opens a review and is answered with it (202). Anything wider is refused.',
      access: { kinds: ['person'] },
      params: OneIdentity,
      query: noQuery,
      body: Changes,
      bodyExample: { scopes: ['read'], reason: 'Write access is no longer used' },
      reply: {
        status: 200,
        description: 'The identity after the change.',
        schema: IdentityBody,
        example: identityExample,
      },
      otherReply: { ...opened, example: { ...requestExample, kind: 'review' } },
      problems: [
        'not-found',
        'not-active',
        'revoking',
        'no-flow',
        'ambiguous-flow',
        'not-narrowing',
        'owner-not-valid',
        'ambiguous-address',
        'request-running',
      ],
      async handle({ principal, params, body, key }) {
        const identity = await visibleIdentity(deps, principal, params.identityId);
        requireStanding(principal, 'change this identity', {
          roles: ['responder', 'admin'],
          principals: [identity.ownerId],
        });
        const { reason, owner, ...change } = body;
        if (owner !== undefined) {
          if (change.consumers !== undefined || change.expiresAt !== undefined)
            throw invalidRequest([
              {
                field: 'body.owner',
                message: 'goes with scopes only; send consumers and expiresAt in a call of their own',
              },
            ]);
          const call = keyedCall('change', { principal, key, params, body });
          const requestId = await openRequest(deps, call, async () => {
            const proposal = proposalOf({ newOwner: await personNamed(deps, owner), scopes: change.scopes });
            const order = orderFor(deps, call, principal, {
              kind: 'review',
              identityId: identity.id,
              trigger: reviewTrigger(proposal),
              justification: reason,
              proposal,
            });
            return deps.gateway.open(order);
          });
          return { isOther: true, ...(await openedReply(deps, principal, requestId)) };
        }
        if (Object.keys(change).length === 0)
          throw new Problem(
            'not-narrowing',
            'The change names nothing to narrow. Give scopes, consumers or expiresAt.',
          );
        if (change.expiresAt !== undefined && Date.parse(change.expiresAt) <= deps.now().getTime())
          throw invalidRequest([
            { field: 'body.expiresAt', message: 'must be in the future; to end the identity now, revoke it' },
          ]);
        await bindKey(deps, keyedCall('change', { principal, key, params, body }));
        const result = await narrowIdentity(deps.ledger, {
          identityId: identity.id,
          by: principal.id,
          reason,
          change: present({
            ...change,
            ...(change.consumers === undefined ? {} : { consumers: await remaining(deps, change.consumers, identity) }),
          }),
        });
        if (!result.narrowed) throw refusalProblem(result);
        return { body: identityBody(await visibleIdentity(deps, principal, identity.id)) };
      },
    }),
  ];
}

function requireMayRotate(principal: Principal, identity: IdentityRow): void {
  if (principal.kind === 'person')
    return requireStanding(principal, 'rotate this identity', {
      roles: ['requester', 'responder'],
      principals: [identity.ownerId],
    });
  if (!mayDo('rotate', principal.may ?? [], identity))
    throw new Problem(
      'forbidden',
      `${principal.id} may not rotate ${identity.integration}/${identity.name}. Add it to the pipeline's "may" in tenure.yaml.`,
    );
}

/** Those who stay, by the ids under which they are registered. */
async function remaining(
  deps: ApiDependencies,
  named: readonly string[],
  { consumers: registered }: IdentityRow,
): Promise<string[]> {
  const ids = await peopleNamed(deps, named);
  return Promise.all(ids.map(async (id) => (await idAmong(deps.ledger.direct, id, registered)) ?? id));
}

function present(change: {
  scopes?: string[] | undefined;
  consumers?: string[] | undefined;
  expiresAt?: string | undefined;
}) {
  const { scopes: fewer, consumers: left, expiresAt } = change;
  return {
    ...(fewer === undefined ? {} : { scopes: fewer }),
    ...(left === undefined ? {} : { consumers: left }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  };
}
