import { z } from 'zod';
import {
  checkpointResponseSchema,
  consistencyProofResponseSchema,
  evidencePageSchema,
  inclusionProofResponseSchema,
  requestBundleResponseSchema,
} from '../../contracts/evidence.ts';
import { ProofOutOfRange } from '../../domain/evidence/merkleProofs.ts';
import { verifierKeyOf } from '../../ledger/evidenceLogs.ts';
import {
  consistencyProof,
  inclusionProof,
  latestCheckpoint,
  listEvidence,
  type StoredCheckpoint,
} from '../../ledger/evidenceReads.ts';
import { timelineOf } from '../../ledger/queries/timeline.ts';
import { type ProvenEntry, requestBundle } from '../../ledger/requestBundle.ts';
import { badCursor } from '../cursor.ts';
import { visibleIdentity } from '../findVisible.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest, notFound } from '../problem.ts';
import { defaultPageLimit, Id, Instant, noParams, noQuery, pageQuery, wholeNumber } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Evidence';
/** Evidence is about everybody; what one may see about an identity is its timeline. */
const access = { kinds: ['person'], roles: ['auditor', 'admin'] } as const;
const size = wholeNumber(0, Number.MAX_SAFE_INTEGER).optional();

const TimelineBody = z.object({
  items: z.array(
    z.object({
      at: Instant,
      kind: z.string(),
      actor: z.string(),
      requestId: Id.nullable(),
      data: z.record(z.string(), z.json()),
    }),
  ),
  nextCursor: z.string().nullable(),
});

const bodyExample =
  '{"actor":"p_6b1d…","at":"2026-11-22T10:00:00.000Z","chain":"request/qsch47vxnzj47kmpqx6qtfacpi","kind":"request.opened"}';
const checkpointExample = {
  size: 42,
  note: 'tenure.example.com/evidence\n42\n…\n',
  vkey: 'tenure.example.com/evidence+…',
};

export function evidenceRoutes(deps: ApiDependencies): Route[] {
  const { ledger } = deps;
  const withKey = (checkpoint: StoredCheckpoint) => ({
    ...checkpoint,
    vkey: verifierKeyOf(ledger.evidence, checkpoint.note),
  });
  return [
    defineRoute({
      method: 'get',
      path: '/v1/identities/{identityId}/timeline',
      operationId: 'getTimeline',
      tag: 'Identities',
      summary: 'Read what happened to an identity',
      description: 'From its evidence, oldest first, sealed or not yet.',
      access: { kinds: ['person'] },
      params: z.strictObject({ identityId: Id }),
      query: z.strictObject(pageQuery),
      reply: {
        status: 200,
        description: 'One page.',
        schema: TimelineBody,
        example: {
          items: [
            {
              at: '2026-11-22T10:00:00.000Z',
              kind: 'request.opened',
              actor: 'requester@example.com',
              requestId: 'qsch47vxnzj47kmpqx6qtfacpi',
              data: { trigger: 'person' },
            },
          ],
          nextCursor: null,
        },
      },
      problems: ['not-found'],
      async handle({ principal, params, query: { limit = defaultPageLimit, cursor } }) {
        const { id: identityId } = await visibleIdentity(deps, principal, params.identityId);
        const { personKey } = ledger.evidence;
        const page = await timelineOf(ledger.prisma, {
          identityId,
          limit,
          personKey,
          ...(cursor === undefined ? {} : { after: positionOf(cursor) }),
        });
        return {
          body: {
            items: page.items.map(({ at, kind, actor, requestId, data }) => ({
              at,
              kind,
              actor,
              requestId: requestId ?? null,
              data,
            })),
            nextCursor: page.next === undefined ? null : cursorAt(page.next),
          },
        };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/evidence',
      operationId: 'listEvidence',
      tag,
      summary: 'Read sealed entries in the order of the log',
      description: '`body` is exactly the bytes of the leaf. Pages never change: the last one only grows.',
      access,
      params: noParams,
      query: z.strictObject({ ...pageQuery, requestId: Id.optional(), identityId: Id.optional() }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: evidencePageSchema,
        example: { items: [{ leafIndex: 0, body: bodyExample }], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor, requestId, identityId } }) {
        const page = await listEvidence(ledger.prisma, {
          limit,
          ...(cursor === undefined ? {} : { after: Number(positionOf(cursor)) }),
          ...(requestId === undefined ? {} : { requestId }),
          ...(identityId === undefined ? {} : { identityId }),
        });
        return {
          body: { items: page.items, nextCursor: page.next === undefined ? null : cursorAt(BigInt(page.next)) },
        };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/evidence/checkpoints',
      operationId: 'getCheckpoint',
      tag,
      summary: 'Read the newest signed checkpoint',
      description:
        'A C2SP tlog-checkpoint. Keep copies of it elsewhere: against them, changed or removed entries are found.',
      access,
      params: noParams,
      query: noQuery,
      reply: {
        status: 200,
        description: 'The checkpoint, and the key that verifies it.',
        schema: checkpointResponseSchema,
        example: checkpointExample,
      },
      problems: ['not-found'],
      async handle() {
        const checkpoint = await latestCheckpoint(ledger.prisma);
        if (checkpoint === undefined) throw notFound('checkpoint', 'yet: nothing was sealed');
        return { body: withKey(checkpoint) };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/evidence/proofs',
      operationId: 'getProof',
      tag,
      summary: 'Prove that an entry is in the log, or that the log only grew',
      description: 'RFC 6962: `index` and `size` for inclusion, `from` and `to` for consistency.',
      access,
      params: noParams,
      query: z.strictObject({ index: size, size, from: size, to: size }),
      reply: {
        status: 200,
        description: 'The hashes.',
        schema: z.union([inclusionProofResponseSchema, consistencyProofResponseSchema]),
        example: { index: 0, size: 2, hashes: ['n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg='] },
      },
      problems: [],
      async handle({ query }) {
        const { index, size: atSize, from, to } = query;
        if (index !== undefined && atSize !== undefined && from === undefined && to === undefined)
          return {
            body: { index, size: atSize, hashes: await hashesOf(inclusionProof(ledger.prisma, index, atSize)) },
          };
        if (from !== undefined && to !== undefined && index === undefined && atSize === undefined)
          return { body: { from, to, hashes: await hashesOf(consistencyProof(ledger.prisma, from, to)) } };
        throw invalidRequest([{ field: 'query', message: 'must be either index and size, or from and to' }]);
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/evidence/requests/{requestId}',
      operationId: 'getEvidenceBundle',
      tag,
      summary: 'Read all evidence of one request, provable offline',
      description:
        'Every entry under one checkpoint, each with its inclusion proof, and a signed `head` that says how many there are: what is kept back is noticed. All pages are under the checkpoint of the first.',
      access,
      params: z.strictObject({ requestId: Id }),
      query: z.strictObject(pageQuery),
      reply: {
        status: 200,
        description: 'The bundle.',
        schema: requestBundleResponseSchema,
        example: {
          requestId: 'qsch47vxnzj47kmpqx6qtfacpi',
          checkpoint: checkpointExample,
          head: 'tenure.example.com/evidence/chain-head\nrequest/qsch47vxnzj47kmpqx6qtfacpi\n1\n0\n42\n…\n',
          keys: [],
          entries: [{ leafIndex: 0, body: bodyExample, hashes: [] }],
          unsealed: 0,
          nextCursor: null,
        },
      },
      problems: ['not-found'],
      async handle({ params: { requestId }, query: { limit = defaultPageLimit, cursor } }) {
        const page = cursor === undefined ? undefined : bundlePlace(cursor);
        const asked = { requestId, limit, ...(page === undefined ? {} : { page }) };
        const bundle = await requestBundle(ledger.prisma, ledger.evidence, asked);
        if (bundle === undefined && page !== undefined) throw badCursor();
        if (bundle === undefined || (page === undefined && bundle.entries.length + bundle.unsealed === 0))
          throw notFound('evidence of request', requestId);
        const { checkpoint, head, keys, entries, unsealed, next } = bundle;
        return {
          body: {
            ...{ requestId, head, unsealed },
            checkpoint: withKey(checkpoint),
            keys: keys.map(provenBody),
            entries: entries.map(provenBody),
            nextCursor: next === undefined ? null : bundleCursor({ after: next, size: checkpoint.size }),
          },
        };
      },
    }),
  ];
}

async function hashesOf(proof: Promise<readonly Buffer[]>): Promise<string[]> {
  try {
    return (await proof).map(base64);
  } catch (error) {
    if (error instanceof ProofOutOfRange) throw invalidRequest([{ field: 'query', message: error.message }]);
    throw error;
  }
}

function provenBody({ leafIndex, body, proof }: ProvenEntry) {
  return { leafIndex, body, hashes: proof.map(base64) };
}

/** Under which checkpoint the pages are, and where the next begins. */
function bundleCursor({ after, size: under }: { after: number; size: number }): string {
  return Buffer.from(`bundle,${under},${after}`).toString('base64url');
}

function bundlePlace(cursor: string): { after: number; size: number } {
  const [, under, after] = /^bundle,(\d{1,15}),(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (under === undefined || after === undefined || Number(after) >= Number(under)) throw badCursor();
  return { after: Number(after), size: Number(under) };
}

function base64(hash: Buffer): string {
  return hash.toString('base64');
}

/** Evidence is paged by position, which never moves. */
function cursorAt(position: bigint): string {
  return Buffer.from(`at,${position}`).toString('base64url');
}

function positionOf(cursor: string): bigint {
  const digits = /^at,(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'))?.[1];
  if (digits === undefined) throw badCursor();
  return BigInt(digits);
}
