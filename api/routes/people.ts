import { z } from 'zod';
import { personIdPattern } from '../../domain/ids.ts';
import { linkAccount, somebodyNew } from '../../ledger/accountLinks.ts';
import { listPeople, type PersonRow } from '../../ledger/queries/people.ts';
import { badCursor } from '../cursor.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest, notFound, refusalProblem } from '../problem.ts';
import {
  defaultPageLimit,
  email,
  noParams,
  noQuery,
  pageQuery,
  person,
  Reason,
  text,
} from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'People';
const readers = { kinds: ['person'], roles: ['auditor', 'admin'] } as const;

const PersonBody = z
  .object({
    id: z.string().meta({ description: 'Never changes: an e-mail address, or `person:` and 26 characters.' }),
    name: z.string(),
    active: z.boolean(),
    groups: z.array(z.string()).meta({ description: 'Those that count now, by every source.' }),
    aliases: z.array(z.string()).meta({ description: 'Other ids of the same person: what names them means this one.' }),
    addresses: z.array(z.string()).meta({ description: 'Every one by which the person was known.' }),
    accounts: z.array(
      z.object({
        provider: z
          .string()
          .nullable()
          .meta({ description: 'Its name in tenure.yaml; null when it is gone from there.' }),
        subject: z.string(),
        isVouched: z.boolean().meta({ description: 'False: it may read, freeze, revoke, pause and cancel, no more.' }),
        groups: z.array(z.string()),
        groupsUntil: z
          .string()
          .nullable()
          .meta({ description: 'RFC 3339: when they lapse unless a token says them again.' }),
      }),
    ),
    proposals: z
      .array(
        z.object({
          provider: z.string().nullable(),
          subject: z.string(),
          proposedBy: z.string(),
          reason: z.string(),
          proposedAt: z.string(),
        }),
      )
      .meta({ description: 'Links that another administrator has to confirm.' }),
  })
  .meta({ id: 'Person' });

const example: z.input<typeof PersonBody> = {
  id: 'person:qsch47vxnzj47kmpqx6qtfacpi',
  name: 'Ana Lima',
  active: true,
  groups: ['security'],
  aliases: ['ana@example.com'],
  addresses: ['ana@example.com'],
  accounts: [
    {
      provider: 'company',
      subject: '00u1b2c3',
      isVouched: true,
      groups: ['security'],
      groupsUntil: '2026-12-08T10:00:00.000Z',
    },
  ],
  proposals: [],
};

const LinkedBody = z.object({
  state: z.enum(['proposed', 'linked']),
  personId: z.string(),
  mergedId: z.string().nullable().meta({ description: 'Who turned out to be the same person, and is an alias now.' }),
});

const personId = z.union([person, z.literal(somebodyNew)]);

/** People: who they are, and whose accounts are whose. */
export function peopleRoutes(deps: ApiDependencies): Route[] {
  const providers = deps.configuration.oidc.filter((provider) => provider.for === 'people');
  const present = (row: PersonRow): z.input<typeof PersonBody> => {
    const named = ({ issuer, subject }: { issuer: string; subject: string }) => ({
      provider: providers.find((provider) => provider.issuer === issuer)?.name ?? null,
      subject,
    });
    return {
      ...{ id: row.id, name: row.name, active: row.active, groups: [...row.groups] },
      ...{ aliases: [...row.aliases], addresses: [...row.addresses] },
      accounts: row.accounts.map(({ isVouched, groups, groupsUntil, ...account }) => ({
        ...named(account),
        ...{ isVouched, groups: [...groups], groupsUntil: groupsUntil === null ? null : instant(groupsUntil) },
      })),
      proposals: row.proposals.map(({ proposedBy, reason, proposedAt, ...account }) => ({
        ...named(account),
        ...{ proposedBy, reason, proposedAt: instant(proposedAt) },
      })),
    };
  };

  return [
    defineRoute({
      method: 'get',
      path: '/v1/people',
      operationId: 'listPeople',
      tag,
      summary: 'List people, with their accounts and addresses',
      description: 'By id. For auditors and administrators: whose id is `person:…`, and of whom an address is.',
      access: readers,
      params: noParams,
      query: z.strictObject({
        ...pageQuery,
        name: text(200).optional().meta({ description: 'Part of the name.' }),
        address: email.optional(),
      }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(PersonBody), nextCursor: z.string().nullable() }),
        example: { items: [example], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor, name, address } }) {
        const filter = { ...(name === undefined ? {} : { name }), ...(address === undefined ? {} : { address }) };
        const after = cursor === undefined ? undefined : idIn(cursor);
        const rows = await listPeople(deps.ledger.prisma, filter, { limit: limit + 1, after });
        const items = rows.slice(0, limit);
        const last = rows.length > limit ? items.at(-1) : undefined;
        const nextCursor = last === undefined ? null : Buffer.from(last.id).toString('base64url');
        return { body: { items: items.map(present), nextCursor } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/people/{personId}',
      operationId: 'getPerson',
      tag,
      summary: 'Show a person',
      description: 'By any id of theirs. For auditors and administrators.',
      access: readers,
      params: z.strictObject({ personId: person }),
      query: noQuery,
      reply: { status: 200, description: 'The person as the directory knows them now.', schema: PersonBody, example },
      problems: ['not-found'],
      async handle({ params }) {
        const [found] = await listPeople(deps.ledger.prisma, { id: params.personId }, { limit: 1 });
        if (found === undefined) throw notFound('person', params.personId);
        return { body: present(found) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/people/{personId}/accounts',
      operationId: 'linkAccount',
      tag,
      summary: 'Link an account to a person',
      description:
        'The first administrator proposes it, the same call by another confirms it within a week; neither may be the person, or whoever the account is of now. An account of another person makes the two one: every id stays, as an alias, and is compared and counted as one person. With `new` for the person, the account is of somebody who is not known: the answer names the id to confirm. Evidence tells of both steps.',
      access: { kinds: ['person'], roles: ['admin'] },
      params: z.strictObject({ personId }),
      query: noQuery,
      body: z
        .strictObject({
          provider: text(63).meta({ description: 'Its name in tenure.yaml.' }),
          subject: text(255).meta({ description: 'What its tokens say as `sub`.' }),
          reason: Reason,
        })
        .meta({ id: 'AccountLink' }),
      bodyExample: { provider: 'company', subject: '00u1b2c3', reason: 'Moved to the new tenant, ticket 4711' },
      reply: {
        status: 200,
        description: 'Proposed, or linked.',
        schema: LinkedBody,
        example: { state: 'proposed', personId: example.id, mergedId: null },
      },
      problems: ['not-found', 'self-approval', 'person-inactive'],
      async handle({ principal, params, body, key }) {
        const provider = providers.find(({ name }) => name === body.provider);
        if (provider === undefined)
          throw invalidRequest([{ field: 'body.provider', message: 'is no provider "for: people" of tenure.yaml' }]);
        await bindKey(deps, keyedCall('link-account', { principal, key, params, body }));
        const result = await linkAccount(deps.ledger, {
          ...{ personId: params.personId, issuer: provider.issuer, by: principal.id, ...body },
        });
        if ('refused' in result) throw refusalProblem({ slug: result.refused, detail: result.detail });
        return { body: { state: result.state, personId: result.personId, mergedId: result.mergedId ?? null } };
      },
    }),
  ];
}

const instant = (written: string): string => new Date(written).toISOString();

function idIn(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('utf8');
  if (personIdPattern.test(id) || email.safeParse(id).success) return id;
  throw badCursor();
}
