import { z } from 'zod';
import { idFromKey } from '../../domain/ids.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { findFreeze, listFreezes } from '../../ledger/queries/freezes.ts';
import { pageBody, placeOf } from '../cursor.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { notFound, refusalProblem } from '../problem.ts';
import {
  defaultPageLimit,
  distinct,
  Id,
  noParams,
  noQuery,
  pageQuery,
  Reason,
  slug,
} from '../representations/fields.ts';
import { FreezeBody, FreezeDetail, freezeBody, freezeDetail, freezeExample } from '../representations/freeze.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Freezes';
const OneFreeze = z.strictObject({ freezeId: Id });

const FreezeOrder = z
  .strictObject({
    identityIds: distinct(Id, 200).default([]),
    integrations: distinct(slug, 200).default([]),
    reason: Reason,
  })
  .refine(
    ({ identityIds, integrations }) => identityIds.length + integrations.length > 0,
    'must name at least one identity or integration',
  )
  .meta({ id: 'FreezeOrder' });

export function freezeRoutes(deps: ApiDependencies): Route[] {
  const { ledger } = deps;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/freezes',
      operationId: 'openFreeze',
      tag,
      summary: 'Stop issuance for identities or integrations, at once',
      description:
        'In force when this answers, however many identities match, Temporal up or down: nothing is issued or committed until it is lifted. Revocation goes on.',
      access: { kinds: ['person'], roles: ['responder'] },
      params: noParams,
      query: noQuery,
      body: FreezeOrder,
      bodyExample: { integrations: ['payments'], reason: 'Compromised build host, ticket 4711' },
      reply: {
        status: 201,
        description: 'In force.',
        schema: FreezeBody,
        example: freezeExample,
        headers: { Location: 'The freeze.' },
      },
      problems: [],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('freeze', { principal, key, params, body });
        await bindKey(deps, call);
        const freeze = await openFreeze(ledger, { id: idFromKey('freeze', call), by: principal.id, ...body });
        return { body: freezeBody(freeze), headers: { Location: `/v1/freezes/${freeze.id}` } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/freezes',
      operationId: 'listFreezes',
      tag,
      summary: 'List freezes',
      description: 'Newest first.',
      access: { kinds: ['person'] },
      params: noParams,
      query: z.strictObject({
        ...pageQuery,
        open: z
          .enum(['true', 'false'])
          .optional()
          .meta({ description: '`true`: those in force; `false`: those lifted.' }),
      }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(FreezeBody), nextCursor: z.string().nullable() }),
        example: { items: [freezeExample], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor, open } }) {
        const page = await listFreezes(ledger.prisma, open === undefined ? {} : { isOpen: open === 'true' }, {
          limit,
          ...(cursor === undefined ? {} : { after: placeOf(cursor) }),
        });
        return { body: pageBody(page, freezeBody) };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/freezes/{freezeId}',
      operationId: 'getFreeze',
      tag,
      summary: 'Read a freeze, with what is still usable',
      description:
        'A freeze stops issuance; credentials issued before live on until they expire or are revoked. They are listed here.',
      access: { kinds: ['person'] },
      params: OneFreeze,
      query: noQuery,
      reply: {
        status: 200,
        description: 'The freeze.',
        schema: FreezeDetail,
        example: { ...freezeExample, matchingIdentities: 1, stillUsable: [] },
      },
      problems: ['not-found'],
      async handle({ params: { freezeId } }) {
        const freeze = await findFreeze(ledger.prisma, freezeId);
        if (freeze === undefined) throw notFound('freeze', freezeId);
        return { body: freezeDetail(freeze) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/freezes/{freezeId}/lift',
      operationId: 'liftFreeze',
      tag,
      summary: 'Lift a freeze',
      description: 'By another responder than the one who opened it. Held requests go on by themselves.',
      access: { kinds: ['person'], roles: ['responder'] },
      params: OneFreeze,
      query: noQuery,
      body: z.strictObject({ reason: Reason }).meta({ id: 'Lift' }),
      bodyExample: { reason: 'Host rebuilt, ownership and scopes checked' },
      reply: {
        status: 200,
        description: 'Lifted.',
        schema: FreezeBody,
        example: {
          ...freezeExample,
          liftedAt: '2026-11-22T12:00:00.000Z',
          liftedBy: 'responder-2@example.com',
          liftReason: 'Host rebuilt',
        },
      },
      problems: ['not-found', 'freeze-lifted', 'second-responder'],
      async handle({ principal, params, body, key }) {
        await bindKey(deps, keyedCall('lift', { principal, key, params, body }));
        const result = await liftFreeze(ledger, { id: params.freezeId, by: principal.id, reason: body.reason });
        if (!result.lifted) throw refusalProblem(result);
        return { body: freezeBody(result.freeze) };
      },
    }),
  ];
}
