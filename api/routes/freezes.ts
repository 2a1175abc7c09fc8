import { z } from 'zod';
import { durationMs, InvalidDuration } from '../../domain/flow/duration.ts';
import { freezeModes } from '../../domain/freezeSelector.ts';
import { idOfCall } from '../../ledger/callIds.ts';
import { liftFreeze, openFreeze } from '../../ledger/freezes.ts';
import { findFreeze, freezeExists, listFreezes, previewSelector } from '../../ledger/queries/freezes.ts';
import { pageBody, placeOf } from '../cursor.ts';
import {
  requireConfirmation,
  selectorFields,
  selectorNow,
  selectorQuery,
  selectsSomething,
} from '../freezeSelection.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { notFound, refusalProblem } from '../problem.ts';
import { defaultPageLimit, Id, noParams, noQuery, pageQuery, Reason } from '../representations/fields.ts';
import {
  FreezeBody,
  FreezeDetail,
  FreezePreview,
  freezeBody,
  freezeDetail,
  freezeDetailExample,
  freezeExample,
  freezePreview,
} from '../representations/freeze.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Freezes';
const OneFreeze = z.strictObject({ freezeId: Id });

const shortestEscalationMs = 60_000;
const EscalateAfter = z
  .string()
  .max(40)
  .superRefine((written, context) => {
    try {
      if (durationMs(written) < shortestEscalationMs) context.addIssue('must be at least one minute');
    } catch (error) {
      if (!(error instanceof InvalidDuration)) throw error;
      context.addIssue('must be a duration such as PT4H or P1D');
    }
  })
  .meta({
    description:
      'ISO 8601: while it is in force, responders are told again each time this has passed. It never ends a freeze.',
    example: 'PT4H',
  });

const FreezeOrder = z
  .strictObject({
    ...selectorFields,
    mode: z.enum(freezeModes).default('hold').meta({
      description: '`hold`: open requests wait; `cancel`: those that have not committed end. Later ones meet the same.',
    }),
    escalateAfter: EscalateAfter.optional(),
    confirm: z.enum(['nothing', 'everything']).optional().meta({
      description: 'Asked for when the selector matches nothing, or every live identity.',
    }),
    reason: Reason,
  })
  .refine(selectsSomething, 'must name something to freeze: identityIds, integrations, owners, …')
  .meta({ id: 'FreezeOrder' });

export function freezeRoutes(deps: ApiDependencies): Route[] {
  const { ledger } = deps;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/freezes',
      operationId: 'openFreeze',
      takesUnvouched: true,
      tag,
      summary: 'Stop issuance for whatever the selector matches, at once',
      description:
        'In force when this answers, however many identities match, Temporal up or down: nothing is issued or committed until a review lets the identity go, or the freeze is lifted. Every list widens the selector. Revocations and reviews go on.',
      isSafety: true,
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
      problems: ['confirmation-required'],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('freeze', { principal, key, params, body });
        await bindKey(deps, call);
        const id = await idOfCall(ledger, 'freeze', call);
        const { mode, escalateAfter, confirm, reason } = body;
        const selector = await selectorNow(deps, body);
        if (!(await freezeExists(ledger.prisma, id))) await requireConfirmation(deps, selector, confirm);
        const freeze = await openFreeze(ledger, {
          id,
          ...selector,
          mode,
          reason,
          by: principal.id,
          ...(escalateAfter === undefined ? {} : { escalateAfter }),
        });
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
      path: '/v1/freezes/preview',
      operationId: 'previewFreeze',
      tag,
      summary: 'See what a freeze would match',
      description: 'Changes nothing. Each list may be repeated: `integrations=payments&integrations=mail`.',
      isSafety: true,
      access: { kinds: ['person'] },
      params: noParams,
      query: z
        .strictObject(selectorQuery)
        .refine(selectsSomething, 'must name something to freeze: identityIds, integrations, owners, …'),
      reply: {
        status: 200,
        description: 'As of now; identities that come later are matched too.',
        schema: FreezePreview,
        example: { matches: 'some', matching: 1, live: 7, openRequests: 0, usableCredentials: 1, sample: [] },
      },
      problems: [],
      async handle({ query }) {
        return { body: freezePreview(await previewSelector(ledger.prisma, await selectorNow(deps, query))) };
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
        example: freezeDetailExample,
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
      description:
        'By another responder than the one who opened it, when every active subject was let go by a review; with `override`, the recorded reason stands instead. Not while a mass revocation of it runs; of a paused one, whatever it has not begun is let go. Held requests go on by themselves.',
      isSafety: true,
      access: { kinds: ['person'], roles: ['responder'] },
      params: OneFreeze,
      query: noQuery,
      body: z
        .strictObject({
          reason: Reason,
          override: z
            .boolean()
            .default(false)
            .meta({ description: 'Lift although subjects have not been reviewed; evidence says how many.' }),
        })
        .meta({ id: 'Lift' }),
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
      problems: ['not-found', 'freeze-lifted', 'second-responder', 'mass-revocation-running', 'exit-criteria-open'],
      async handle({ principal, params, body, key }) {
        await bindKey(deps, keyedCall('lift', { principal, key, params, body }));
        const result = await liftFreeze(ledger, {
          id: params.freezeId,
          by: principal.id,
          reason: body.reason,
          onlyIfReviewed: !body.override,
        });
        if (!result.lifted) {
          const { lifted: _, slug, detail, ...extensions } = result;
          throw refusalProblem({ slug, detail }, extensions);
        }
        return { body: freezeBody(result.freeze) };
      },
    }),
  ];
}
