import { z } from 'zod';
import { idOfCall } from '../../ledger/callIds.ts';
import { acceptFinding } from '../../ledger/findings.ts';
import { countOpenFindings, listFindings, listReconciliations } from '../../ledger/queries/reconciliations.ts';
import { partId, partsOf, requestReconciliation } from '../../ledger/reconciliations.ts';
import { confirmRestore, latestRestore } from '../../ledger/restore.ts';
import { pageBody, placeOf } from '../cursor.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import type { ApiDependencies } from '../ports.ts';
import { refusalProblem } from '../problem.ts';
import { defaultPageLimit, Id, noParams, noQuery, pageQuery, Reason } from '../representations/fields.ts';
import {
  FindingBody,
  FindingKindField,
  FindingState,
  findingBody,
  findingExample,
  RestoreBody,
  RunBody,
  restoreBody,
  restoreExample,
  runBody,
  runExample,
} from '../representations/reconciliation.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Reconciliation';
const readers = { kinds: ['person'], roles: ['responder', 'auditor', 'admin'] } as const;
const actors = { kinds: ['person'], roles: ['responder', 'admin'] } as const;
const Reasoned = z.strictObject({ reason: Reason });

export function reconciliationRoutes(deps: ApiDependencies): Route[] {
  const { ledger, configuration } = deps;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/reconciliations',
      operationId: 'reconcile',
      tag,
      summary: 'Compare every issuer and store with the ledger now',
      description:
        'It happens every 15 minutes by itself. Begins within a minute; a part that is being compared already keeps its run.',
      access: actors,
      params: noParams,
      query: noQuery,
      reply: {
        status: 202,
        description: 'The runs, one per issuer and store.',
        schema: z.object({ items: z.array(RunBody) }),
        example: { items: [{ ...runExample, trigger: 'person', state: 'waiting', finishedAt: null }] },
      },
      problems: [],
      async handle({ principal, params, body, key }) {
        const call = keyedCall('reconcile', { principal, key, params, body });
        await bindKey(deps, call);
        const parts = partsOf(configuration);
        const ids = new Map(
          await Promise.all(
            parts.map(async (part) => {
              const of = { principal: call.principal, key: JSON.stringify([call.key, partId(part)]) };
              return [partId(part), await idOfCall(ledger, 'reconciliation', of)] as const;
            }),
          ),
        );
        const runs = await requestReconciliation(ledger, {
          parts,
          by: principal.id,
          idOf: (part) => idIn(ids, partId(part)),
        });
        return { body: { items: runs.map(runBody) } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/reconciliations',
      operationId: 'listReconciliations',
      tag,
      summary: 'List comparisons, and say whether the ledger acts on them',
      description: 'Newest first. `restore` tells of the last time that the ledger was put back from a backup.',
      access: readers,
      params: noParams,
      query: z.strictObject(pageQuery),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({
          observeOnly: z.boolean(),
          openFindings: z.int(),
          restore: RestoreBody.nullable(),
          items: z.array(RunBody),
          nextCursor: z.string().nullable(),
        }),
        example: { observeOnly: false, openFindings: 1, restore: null, items: [runExample], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor } }) {
        const [page, restore, openFindings] = await Promise.all([
          listReconciliations(ledger.prisma, { limit, ...(cursor === undefined ? {} : { after: placeOf(cursor) }) }),
          latestRestore(ledger.prisma),
          countOpenFindings(ledger.prisma),
        ]);
        return {
          body: {
            observeOnly: restore !== undefined && restore.resumedAt === null,
            openFindings,
            restore: restore === undefined ? null : restoreBody(restore),
            ...pageBody(page, runBody),
          },
        };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/reconciliations/findings',
      operationId: 'listFindings',
      tag,
      summary: 'List what differs, or differed',
      description: 'Those first seen last come first.',
      access: readers,
      params: noParams,
      query: z.strictObject({
        ...pageQuery,
        state: FindingState.optional(),
        kind: FindingKindField.optional(),
        identityId: Id.optional(),
      }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(FindingBody), nextCursor: z.string().nullable() }),
        example: { items: [findingExample], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor, state, kind, identityId } }) {
        const wanted = {
          ...(state === undefined ? {} : { state }),
          ...(kind === undefined ? {} : { kind }),
          ...(identityId === undefined ? {} : { identityId }),
        };
        const asked = { limit, ...(cursor === undefined ? {} : { after: placeOf(cursor) }) };
        return { body: pageBody(await listFindings(ledger.prisma, wanted, asked), findingBody) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/reconciliations/findings/{findingId}/accept',
      operationId: 'acceptFinding',
      tag,
      summary: 'Leave a difference as it is',
      description: 'It is never repaired from then on, and not reported again while it lasts.',
      access: actors,
      params: z.strictObject({ findingId: Id }),
      query: noQuery,
      body: Reasoned.meta({ id: 'Acceptance' }),
      bodyExample: { reason: 'Made by hand during the migration; its owner removes it on Friday, ticket 4711' },
      reply: {
        status: 200,
        description: 'Accepted.',
        schema: FindingBody,
        example: {
          ...findingExample,
          state: 'accepted',
          resolution: 'Its owner removes it on Friday',
          resolvedBy: 'responder@example.com',
          resolvedAt: '2026-11-22T10:30:00.000Z',
        },
      },
      problems: ['not-found', 'finding-closed'],
      async handle({ principal, params, body, key }) {
        await bindKey(deps, keyedCall('accept-finding', { principal, key, params, body }));
        const result = await acceptFinding(ledger, { id: params.findingId, by: principal.id, reason: body.reason });
        if (!result.accepted) throw refusalProblem(result);
        return { body: findingBody(result.finding) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/reconciliations/resume',
      operationId: 'resumeLedger',
      tag,
      summary: 'Let a restored ledger act again',
      description:
        'After a restore from a backup nothing is issued, rotated, destroyed or repaired until this. Every issuer and store is then compared once more, so that no version or epoch is given out twice; identities that look revoked since are frozen; after that the ledger acts, and repairs. Read the findings first, and accept what must stay.',
      access: { kinds: ['person'], roles: ['admin'] },
      params: noParams,
      query: noQuery,
      body: Reasoned.meta({ id: 'LedgerResumption' }),
      bodyExample: { reason: 'Restored from the backup of 09:00 after the disk failure, ticket 4711' },
      reply: { status: 202, description: 'Confirmed.', schema: RestoreBody, example: restoreExample },
      problems: ['not-observe-only'],
      async handle({ principal, params, body, key }) {
        await bindKey(deps, keyedCall('resume-ledger', { principal, key, params, body }));
        const result = await confirmRestore(ledger, {
          by: principal.id,
          reason: body.reason,
          parts: partsOf(configuration),
        });
        if (!result.confirmed) throw refusalProblem(result);
        return { body: restoreBody(result.restore) };
      },
    }),
  ];
}

function idIn(ids: ReadonlyMap<string, string>, part: string): string {
  const id = ids.get(part);
  if (id === undefined) throw new TypeError(`Part ${part} has no id: a defect of Tenure.`);
  return id;
}
