import { z } from 'zod';
import { idOfCall } from '../../ledger/callIds.ts';
import {
  type MassRevocationCommand,
  pauseMassRevocation,
  resumeMassRevocation,
  startMassRevocation,
} from '../../ledger/massRevocations.ts';
import { freezeExists } from '../../ledger/queries/freezes.ts';
import {
  findMassRevocation,
  listMassRevocations,
  type MassRevocationSituation,
  revokedCredentials,
  stuckSubjects,
} from '../../ledger/queries/massRevocations.ts';
import { badCursor, pageBody, placeOf } from '../cursor.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { notFound, refusalProblem } from '../problem.ts';
import { defaultPageLimit, Id, noQuery, pageQuery, Reason } from '../representations/fields.ts';
import {
  MassRevocationBody,
  MassRevocationDetail,
  massRevocationBody,
  massRevocationDetail,
  massRevocationDetailExample,
  massRevocationExample,
  RevokedCredentialBody,
  revokedCredentialBody,
} from '../representations/massRevocation.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Freezes';
const path = '/v1/freezes/{freezeId}/revocations';
const OneFreeze = z.strictObject({ freezeId: Id });
const OneMassRevocation = OneFreeze.extend({ massRevocationId: Id });
const access = { kinds: ['person'], roles: ['responder'] } as const;

/** Safety commands: rows alone, Temporal up or down. */
export function massRevocationRoutes(deps: ApiDependencies): Route[] {
  const { prisma } = deps.ledger;

  async function existing(place: { freezeId: string; massRevocationId: string }): Promise<MassRevocationSituation> {
    const found = await findMassRevocation(prisma, { freezeId: place.freezeId, id: place.massRevocationId });
    if (found === undefined) throw notFound('mass revocation', place.massRevocationId);
    return found;
  }

  function commandRoute(
    verb: 'pause' | 'resume',
    words: { operationId: string; summary: string; description: string; example: string },
    carryOut: typeof pauseMassRevocation,
  ): Route {
    return defineRoute({
      method: 'post',
      path: `${path}/{massRevocationId}/${verb}`,
      operationId: words.operationId,
      tag,
      summary: words.summary,
      description: words.description,
      isSafety: true,
      access,
      params: OneMassRevocation,
      query: noQuery,
      body: z.strictObject({ reason: Reason }),
      bodyExample: { reason: words.example },
      reply: {
        status: 200,
        description: 'The mass revocation as it stands.',
        schema: MassRevocationBody,
        example: massRevocationExample,
      },
      problems: ['not-found', 'mass-revocation-closed', ...(verb === 'resume' ? (['freeze-lifted'] as const) : [])],
      async handle({ principal, params, body, key }) {
        await bindKey(deps, keyedCall(`mass-revocation-${verb}`, { principal, key, params, body }));
        const { freezeId, massRevocationId: id } = params;
        const result: MassRevocationCommand = await carryOut(deps.ledger, {
          id,
          freezeId,
          by: principal.id,
          reason: body.reason,
        });
        if (!result.done) throw refusalProblem(result);
        return { body: massRevocationBody(await existing(params)) };
      },
    });
  }

  return [
    defineRoute({
      method: 'post',
      path,
      operationId: 'revokeFreezeSubjects',
      takesUnvouched: true,
      tag,
      summary: "Revoke everything that the freeze's subjects hold",
      description:
        'Accepted by the ledger alone, Temporal up or down. Identities are revoked one after another, the most exposed first, at the pace that tenure.yaml gives their issuers, and those that match later too, until nothing waits and nothing is under way. It is not undone and cannot be cancelled; it can be paused.',
      isSafety: true,
      access,
      params: OneFreeze,
      query: noQuery,
      body: z
        .strictObject({
          reason: Reason,
          confirm: z.int().nonnegative().optional().meta({
            description: 'How many identities you expect at most; the refusal without it says how many there are.',
          }),
        })
        .meta({ id: 'MassRevocationOrder' }),
      bodyExample: { reason: 'Compromised build host, ticket 4711', confirm: 42 },
      reply: {
        status: 202,
        description: 'Begun. Follow it at Location.',
        schema: MassRevocationBody,
        example: massRevocationExample,
        headers: { Location: 'The mass revocation.' },
      },
      problems: ['not-found', 'freeze-lifted', 'mass-revocation-running', 'confirmation-required'],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('mass-revocation', { principal, key, params, body });
        await bindKey(deps, call);
        const { freezeId } = params;
        const massRevocationId = await idOfCall(deps.ledger, 'mass-revocation', call);
        const { reason, confirm } = body;
        const result = await startMassRevocation(deps.ledger, {
          id: massRevocationId,
          freezeId,
          by: principal.id,
          reason,
          confirmed: confirm,
        });
        if (!result.started) {
          const { started: _, slug, detail, ...extensions } = result;
          throw refusalProblem({ slug, detail }, extensions);
        }
        return {
          body: massRevocationBody(await existing({ freezeId, massRevocationId })),
          headers: { Location: `/v1/freezes/${freezeId}/revocations/${massRevocationId}` },
        };
      },
    }),

    defineRoute({
      method: 'get',
      path,
      operationId: 'listFreezeRevocations',
      tag,
      summary: 'List the mass revocations of a freeze, with their progress',
      description: 'Newest first; at most one of them is open.',
      access: { kinds: ['person'] },
      params: OneFreeze,
      query: z.strictObject(pageQuery),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(MassRevocationBody), nextCursor: z.string().nullable() }),
        example: { items: [massRevocationExample], nextCursor: null },
      },
      problems: ['not-found'],
      async handle({ params: { freezeId }, query: { limit = defaultPageLimit, cursor } }) {
        if (!(await freezeExists(prisma, freezeId))) throw notFound('freeze', freezeId);
        const asked = { limit, ...(cursor === undefined ? {} : { after: placeOf(cursor) }) };
        return { body: pageBody(await listMassRevocations(prisma, freezeId, asked), massRevocationBody) };
      },
    }),

    defineRoute({
      method: 'get',
      path: `${path}/{massRevocationId}`,
      operationId: 'getFreezeRevocation',
      tag,
      summary: 'Read a mass revocation: progress, what is stuck and why, and its closing report',
      description:
        'What is stuck is tried on without end. `POST /v1/requests/{requestId}/retry` tries at once; `/resolution` lets a person vouch for a destroy that the issuer cannot confirm.',
      access: { kinds: ['person'] },
      params: OneMassRevocation,
      query: noQuery,
      reply: {
        status: 200,
        description: 'The mass revocation.',
        schema: MassRevocationDetail,
        example: massRevocationDetailExample,
      },
      problems: ['not-found'],
      async handle({ params }) {
        const found = await existing(params);
        return { body: massRevocationDetail(found, await stuckSubjects(prisma, found.id)) };
      },
    }),

    defineRoute({
      method: 'get',
      path: `${path}/{massRevocationId}/credentials`,
      operationId: 'listFreezeRevocationCredentials',
      tag,
      summary: 'List the credentials of a mass revocation with their receipts',
      description: 'Those that were not destroyed when it began, of the identities that were begun so far.',
      access: { kinds: ['person'] },
      params: OneMassRevocation,
      query: z.strictObject(pageQuery),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(RevokedCredentialBody), nextCursor: z.string().nullable() }),
        example: {
          items: [
            {
              identityId: 'qsch47vxnzj47kmpqx6qtfacpi',
              version: 1,
              requestId: 'r5ch47vxnzj47kmpqx6qtfacpi',
              state: 'destroyed',
              receipt: {
                method: 'tried',
                because: 'the issuer refused it with the secret that it had accepted',
                at: '2026-11-22T10:05:02.000Z',
                stillUsable: [],
              },
            },
          ],
          nextCursor: null,
        },
      },
      problems: ['not-found'],
      async handle({ params, query: { limit = defaultPageLimit, cursor } }) {
        const { id } = await existing(params);
        const rows = await revokedCredentials(prisma, id, { limit: limit + 1, afterHandle: handleOf(cursor) });
        const items = rows.slice(0, limit);
        const last = rows.length > limit ? items.at(-1) : undefined;
        return {
          body: {
            items: items.map(revokedCredentialBody),
            nextCursor: last === undefined ? null : Buffer.from(last.handle).toString('base64url'),
          },
        };
      },
    }),

    commandRoute(
      'pause',
      {
        operationId: 'pauseFreezeRevocation',
        summary: 'Pause a mass revocation',
        description:
          'Nothing more is begun from now on; what was begun goes on to its end. A freeze can be lifted while it is paused.',
        example: 'The payment run must finish first',
      },
      pauseMassRevocation,
    ),
    commandRoute(
      'resume',
      {
        operationId: 'resumeFreezeRevocation',
        summary: 'Resume a mass revocation',
        description: 'Goes on with whatever waits. Not once the freeze was lifted.',
        example: 'The payment run is done',
      },
      resumeMassRevocation,
    ),
  ];
}

/** A cursor of this list is the last handle, as base64url. */
function handleOf(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const handle = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!/^[a-z2-7]{26}-v\d{1,9}$/.test(handle)) throw badCursor();
  return handle;
}
