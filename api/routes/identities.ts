import { z } from 'zod';
import { scopesOfPolicy } from '../../domain/agents.ts';
import { identityKinds } from '../../domain/flow/language.ts';
import { keyedId } from '../../domain/ids.ts';
import { longestName, parseName } from '../../domain/names.ts';
import { identityStates } from '../../domain/states.ts';
import { idsOfSame } from '../../ledger/people.ts';
import { listCredentials, listIdentities } from '../../ledger/queries/identities.ts';
import { requireKnownTools, requireUsable } from '../agentOrder.ts';
import { pageBody, placeOf } from '../cursor.ts';
import { visibleIdentity } from '../findVisible.ts';
import { keyedCall } from '../keyedCall.ts';
import { everybodyNamed, peopleNamed, personNamed } from '../namedPeople.ts';
import { requireOnboardable } from '../onboardingChecks.ts';
import { openedReply } from '../openedReply.ts';
import { openRequest, orderFor } from '../openRequest.ts';
import type { ApiDependencies } from '../ports.ts';
import { Agent } from '../representations/agent.ts';
import {
  consumers,
  defaultPageLimit,
  Id,
  Instant,
  noParams,
  noQuery,
  pageQuery,
  person,
  Reason,
  scopes,
  slug,
  text,
} from '../representations/fields.ts';
import {
  CredentialBody,
  credentialBody,
  credentialExample,
  IdentityBody,
  identityBody,
  identityExample,
} from '../representations/identity.ts';
import { RequestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Identities';

const Name = z
  .string()
  .min(1)
  .max(longestName * 4)
  .transform((written, context) => {
    const parsed = parseName(written);
    if (parsed.ok) return parsed.name;
    context.issues.push({ code: 'custom', message: `the name ${parsed.reason}`, input: '' });
    return z.NEVER;
  })
  .meta({
    description:
      'At most 200 characters of one script: letters, digits, spaces, ASCII punctuation. Unique in its environment, look-alikes included.',
    example: 'billing-api',
  });

const Onboarding = z
  .strictObject({
    kind: z.enum(identityKinds),
    name: Name,
    environment: slug,
    owner: person.meta({ description: 'The person responsible for it, by an e-mail address or by id.' }),
    purpose: text(2000),
    scopes: scopes.min(1).optional().meta({
      description: 'What it may do, in the words of the issuer in tenure.yaml. Left out of an agent.',
    }),
    agent: Agent.optional(),
    integration: slug.meta({ description: 'The group that an incident hits together.' }),
    labels: z
      .record(slug, text(200))
      .refine((labels) => Object.keys(labels).length <= 50, 'must have at most 50 entries')
      .default({}),
    consumers: consumers
      .default([])
      .meta({ description: 'Who may read the credential and acknowledges each cutover.' }),
    expiresAt: Instant.meta({ description: 'RFC 3339, in the future, within ten years.' }),
    issuer: z.string().min(1).max(63),
    store: z.string().min(1).max(63),
    justification: Reason,
  })
  .superRefine(({ kind, agent, scopes: asked }, context) => {
    const isAgent = kind === 'agent';
    const fault = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (isAgent !== (agent !== undefined)) fault('agent', isAgent ? 'is required of an agent' : 'is for agents only');
    if (isAgent === (asked !== undefined))
      fault('scopes', isAgent ? 'must be left out: they are those of the policy' : 'is required');
  })
  .meta({ id: 'Onboarding' });

const OneIdentity = z.strictObject({ identityId: Id });

export function identityRoutes(deps: ApiDependencies): Route[] {
  const { ledger } = deps;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/identities',
      operationId: 'onboardIdentity',
      tag,
      summary: 'Ask for a new identity',
      description: 'Opens an onboarding request. No credential exists before its flow has passed.',
      access: { kinds: ['person'], roles: ['requester'] },
      params: noParams,
      query: noQuery,
      body: Onboarding,
      bodyExample: {
        kind: 'service-account',
        name: 'billing-api',
        environment: 'production',
        owner: 'owner@example.com',
        purpose: 'Reads invoices for the billing API',
        scopes: ['read'],
        integration: 'payments',
        labels: { team: 'billing' },
        consumers: ['pipeline:deploy'],
        expiresAt: '2027-01-31T12:00:00Z',
        issuer: 'main-db',
        store: 'sealed',
        justification: 'The billing API moves to its own account',
      },
      reply: {
        status: 202,
        description: 'The request, open. Long-poll it at Location.',
        schema: RequestBody,
        example: requestExample,
        headers: { Location: 'The request.' },
      },
      problems: [
        'name-taken',
        'no-flow',
        'ambiguous-flow',
        'owner-not-valid',
        'ambiguous-address',
        'unknown-issuer',
        'unknown-store',
        'unsupported-scope',
        'unknown-tool',
        'registration-taken',
      ],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('onboarding', { principal, key, params, body });
        const { justification, owner, agent, scopes: asked = [], ...subject } = body;
        const ofAgent = agent === undefined ? {} : { policy: agent.policy };
        const born = agent === undefined ? asked : scopesOfPolicy(agent.policy);
        const order = async () =>
          orderFor(deps, call, principal, {
            kind: 'onboarding',
            identityId: keyedId(deps.ledger.evidence.personKey, 'identity', call),
            trigger: 'person',
            justification,
            subject: {
              ...subject,
              ...ofAgent,
              scopes: born,
              consumers: await peopleNamed(deps, body.consumers),
              ownerId: await personNamed(deps, owner),
              expiresAt: new Date(body.expiresAt).toISOString(),
            },
            ...(agent === undefined ? {} : { registration: agent.registration }),
          });
        const requestId = await openRequest(deps, call, async () => {
          if (agent !== undefined) {
            requireKnownTools(agent.policy, deps.configuration);
            requireUsable(agent.registration, deps.configuration, 'body.agent.registration');
          }
          requireOnboardable(deps, { ...body, scopes: born, policy: agent?.policy });
          return await deps.gateway.open(await order());
        });
        return await openedReply(deps, principal, requestId);
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/identities',
      operationId: 'listIdentities',
      tag,
      summary: 'List identities',
      description: 'Newest first.',
      access: { kinds: ['person'] },
      params: noParams,
      query: z.strictObject({
        ...pageQuery,
        state: z.enum(identityStates).optional(),
        integration: slug.optional(),
        environment: slug.optional(),
        owner: person.optional(),
      }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(IdentityBody), nextCursor: z.string().nullable() }),
        example: { items: [identityExample], nextCursor: null },
      },
      problems: [],
      async handle({ query }) {
        const { limit = defaultPageLimit, cursor, owner, state, integration, environment } = query;
        const filter = {
          ...(state === undefined ? {} : { state }),
          ...(integration === undefined ? {} : { integration }),
          ...(environment === undefined ? {} : { environment }),
          ...(owner === undefined
            ? {}
            : { ownerIds: await idsOfSame(ledger.direct, await everybodyNamed(deps, [owner])) }),
        };
        const page = await listIdentities(ledger.prisma, filter, {
          limit,
          ...(cursor === undefined ? {} : { after: placeOf(cursor) }),
        });
        return { body: pageBody(page, identityBody) };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/identities/{identityId}',
      operationId: 'getIdentity',
      tag,
      summary: 'Read an identity',
      description: 'What it is, its state, and the freezes that hold its issuance.',
      access: { kinds: ['person', 'pipeline', 'agent'] },
      params: OneIdentity,
      query: noQuery,
      reply: { status: 200, description: 'The identity.', schema: IdentityBody, example: identityExample },
      problems: ['not-found'],
      handle: async ({ principal, params }) => ({
        body: identityBody(await visibleIdentity(deps, principal, params.identityId)),
      }),
    }),

    defineRoute({
      method: 'get',
      path: '/v1/identities/{identityId}/credentials',
      operationId: 'listCredentials',
      tag,
      summary: 'Read the credentials of an identity',
      description: 'Every version ever issued, newest first, with its receipt once it is destroyed. Never a value.',
      access: { kinds: ['person', 'pipeline', 'agent'] },
      params: OneIdentity,
      query: noQuery,
      reply: {
        status: 200,
        description: 'All of them.',
        schema: z.object({ items: z.array(CredentialBody), nextCursor: z.null() }),
        example: { items: [credentialExample], nextCursor: null },
      },
      problems: ['not-found'],
      async handle({ principal, params }) {
        const identity = await visibleIdentity(deps, principal, params.identityId);
        const rows = await listCredentials(ledger.prisma, identity.id);
        return { body: { items: rows.map((row) => credentialBody(row, identity.epoch)), nextCursor: null } };
      },
    }),
  ];
}
