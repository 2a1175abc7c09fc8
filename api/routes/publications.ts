import { z } from 'zod';
import { documentLimit, type Submission, type SubmittedDocument } from '../../domain/flow/publishing/submission.ts';
import { findDocument } from '../../ledger/publishedSet.ts';
import { flowHistory, previousDigest, publishedUnder } from '../../ledger/queries/flowHistory.ts';
import { badCursor } from '../cursor.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { checkPublication, type PublicationCheck } from '../publicationCheck.ts';
import { publish } from '../publish.ts';
import { defaultPageLimit, noParams, noQuery, pageQuery, Reason } from '../representations/fields.ts';
import { FlowDigest, FlowName, FlowText } from '../representations/flow.ts';
import {
  FindingBody,
  PublicationBody,
  PublicationReportBody,
  publicationExample,
  VersionBody,
} from '../representations/publication.ts';
import { RequestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Flows';
/** Of the sources, and some for the JSON around and within them. */
const largestBodyBytes = 1_500_000;
const tests = FlowText.optional().meta({ description: 'A file of tests of it, which must pass too. Not stored.' });

const FlowSet = z
  .strictObject({
    flows: z.array(z.strictObject({ source: FlowText, tests })).max(documentLimit),
    retire: z.array(FlowName).max(documentLimit).default([]).meta({ description: 'Published no more.' }),
  })
  .meta({ id: 'FlowSet' });

const asked = {
  status: 202 as const,
  description: 'The request to publish, open. Long-poll it at Location.',
  schema: RequestBody,
  example: { ...requestExample, kind: 'publication' as const, identityId: null },
  headers: { Location: 'The request.' },
};
const refusals = [
  'flow-not-sound',
  'already-published',
  'published-meanwhile',
  'no-flow',
  'ambiguous-flow',
  'too-complex',
] as const;

export function publicationRoutes(deps: ApiDependencies): Route[] {
  return [publishSet(deps), publishVersion(deps), rollBack(deps), planSet(deps), listVersions(deps)];
}

function publishSet(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/flows',
    operationId: 'publishFlows',
    tag,
    summary: 'Ask for a set of flows to be published at once',
    description:
      'Published and retired together, or not at all, when those agree whom the flow on publications asks. What cannot be read, fails a test, has an error of lint, or breaks an invariant is refused with every finding, and nothing is stored. What is sent as it is published is left alone.',
    access: { kinds: ['person'], roles: ['flow-author'] },
    isAnalysis: true,
    largestBodyBytes,
    params: noParams,
    query: noQuery,
    body: FlowSet.safeExtend({ justification: Reason }).meta({ id: 'FlowSetOrder' }),
    bodyExample: { flows: [{ source: 'apiVersion: tenure/v1\n…' }], retire: [], justification: 'Ticket 4711' },
    reply: asked,
    problems: refusals,
    async handle(call) {
      const { body } = call;
      return await publish(deps, 'publish-flows', call, async () => ({
        submission: submissionOf(body),
        isRollback: false,
      }));
    },
  });
}

function publishVersion(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/flows/{name}/versions',
    operationId: 'publishFlow',
    tag,
    summary: 'Ask for a version of one flow to be published',
    description: 'The same for one flow, or for the `invariants`.',
    access: { kinds: ['person'], roles: ['flow-author'] },
    isAnalysis: true,
    largestBodyBytes,
    params: z.strictObject({ name: FlowName }),
    query: noQuery,
    body: z.strictObject({ source: FlowText, tests, justification: Reason }).meta({ id: 'FlowVersionOrder' }),
    bodyExample: { source: 'apiVersion: tenure/v1\n…', justification: 'Ticket 4711' },
    reply: asked,
    problems: refusals,
    async handle(call) {
      const { params, body } = call;
      const document = { file: `${params.name}.flow.yaml`, expects: params.name, ...withTests(body) };
      return await publish(deps, 'publish-flow', call, async () => ({
        submission: { documents: [document], retire: [] },
        isRollback: false,
      }));
    },
  });
}

function rollBack(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/flows/{name}/rollback',
    operationId: 'rollBackFlow',
    tag,
    summary: 'Ask for a version to rule again that was published before',
    description:
      'The one before the present one, or the one with this digest. It still has to pass every check and every invariant of today; the shipped flow then asks one person.',
    access: { kinds: ['person'], roles: ['flow-author', 'flow-publisher', 'responder'] },
    isAnalysis: true,
    params: z.strictObject({ name: FlowName }),
    query: noQuery,
    body: z
      .strictObject({
        digest: FlowDigest.optional().meta({
          description: 'Left out: the last one that was published before the present.',
        }),
        justification: Reason,
      })
      .meta({ id: 'FlowRollback' }),
    bodyExample: { justification: 'Denies what it should not, ticket 4712' },
    reply: asked,
    problems: ['not-found', 'never-published', ...refusals],
    async handle(call) {
      const { params, body } = call;
      return await publish(deps, 'rollback-flow', call, async () => ({
        submission: { documents: [await earlierVersion(deps, params.name, body.digest)], retire: [] },
        isRollback: true,
      }));
    },
  });
}

function planSet(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/flows/plan',
    operationId: 'planFlows',
    tag,
    summary: 'What publishing a set of flows would mean',
    description:
      'The same check without asking for anything: what differs from what is published, and the report that approvers would read, or why it cannot be published.',
    access: { kinds: ['person'], roles: ['flow-author', 'flow-publisher', 'auditor', 'admin'] },
    isAnalysis: true,
    writesNothing: true,
    largestBodyBytes,
    params: noParams,
    query: noQuery,
    body: FlowSet,
    bodyExample: { flows: [{ source: 'apiVersion: tenure/v1\n…' }] },
    reply: {
      status: 200,
      description: 'Nothing was written.',
      schema: PlanBody,
      example: {
        findings: [],
        unchanged: ['review-default'],
        others: [],
        publication: publicationExample,
        report: null,
      },
    },
    problems: ['too-complex'],
    async handle({ principal, body }) {
      return {
        body: planBody(await checkPublication(deps, submissionOf(body), { author: principal.id, isRollback: false })),
      };
    },
  });
}

const PlanBody = z
  .object({
    findings: z.array(FindingBody).meta({ description: 'Why it cannot be published; none: it can.' }),
    unchanged: z.array(z.string()).meta({ description: 'Published exactly so.' }),
    others: z.array(z.string()).meta({ description: 'Published, and not among what was sent.' }),
    publication: PublicationBody.nullable().meta({ description: 'Null when nothing would change, or it cannot.' }),
    report: PublicationReportBody.nullable(),
  })
  .meta({ id: 'PublicationPlan' });

function planBody(check: PublicationCheck): z.output<typeof PlanBody> {
  if (check.is === 'not-sound')
    return { findings: [...check.findings], unchanged: [], others: [], publication: null, report: null };
  const { unchanged, others } = check;
  const known = { findings: [], unchanged: [...unchanged], others: [...others] };
  if (check.is === 'published') return { ...known, publication: null, report: null };
  const { proposal, report } = check;
  // Through the schema: what is shown is exactly what is documented, and nothing else of it.
  return PlanBody.parse({ ...known, publication: proposal, report });
}

function listVersions(deps: ApiDependencies): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/flows/{name}/versions',
    operationId: 'listFlowVersions',
    tag,
    summary: 'What was published under a name',
    description: 'Newest first: who asked for it, when it took effect, and by which request.',
    access: { kinds: ['person', 'pipeline'] },
    params: z.strictObject({ name: FlowName }),
    query: z.strictObject(pageQuery),
    reply: {
      status: 200,
      description: 'One page.',
      schema: z.object({ items: z.array(VersionBody), nextCursor: z.string().nullable() }),
      example: {
        items: [
          {
            digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
            operation: 'onboarding',
            isPublished: true,
            publishedBy: 'flow-author@example.com',
            publishedAt: '2026-11-22T10:00:00.000Z',
            requestId: 'qsch47vxnzj47kmpqx6qtfacpi',
          },
        ],
        nextCursor: null,
      },
    },
    problems: ['not-found'],
    async handle({ params: { name }, query: { limit = defaultPageLimit, cursor } }) {
      if (cursor !== undefined && !/^\d{1,18}$/.test(cursor)) throw badCursor();
      const before = cursor === undefined ? {} : { before: BigInt(cursor) };
      const entries = await flowHistory(deps.ledger.prisma, name, { limit: limit + 1, ...before });
      if (entries.length === 0 && cursor === undefined) throw nothingPublished(name);
      const items = entries.slice(0, limit).map(({ id: _id, publishedAt, ...entry }) => ({
        ...entry,
        publishedAt: publishedAt.toISOString(),
      }));
      const last = entries[limit - 1];
      const nextCursor = entries.length > limit && last !== undefined ? String(last.id) : null;
      return { body: { items, nextCursor } };
    },
  });
}

function submissionOf({ flows, retire }: z.output<typeof FlowSet>): Submission {
  return { documents: flows.map((flow, index) => ({ file: `flows[${index}]`, ...withTests(flow) })), retire };
}

function withTests({ source, tests: further }: { source: string; tests?: string | undefined }) {
  return { source, ...(further === undefined ? {} : { tests: further }) };
}

/** @throws Problem `not-found` for a name that never was, `never-published` for a version that never was */
async function earlierVersion(
  { ledger: { prisma } }: ApiDependencies,
  name: string,
  asked: string | undefined,
): Promise<SubmittedDocument> {
  const [newest] = await flowHistory(prisma, name, { limit: 1 });
  if (newest === undefined) throw nothingPublished(name);
  const digest = asked ?? (await previousDigest(prisma, name));
  const isKnown = digest !== undefined && (await publishedUnder(prisma, name, digest));
  const document = isKnown ? await findDocument(prisma, digest) : undefined;
  if (document !== undefined) return { file: `${name}.flow.yaml`, document };
  throw new Problem(
    'never-published',
    asked === undefined
      ? `Nothing but the present version of ${name} was ever published. Publish a version: POST /v1/flows/${name}/versions.`
      : `Version ${asked} of ${name} was never published. Those that were: GET /v1/flows/${name}/versions.`,
  );
}

function nothingPublished(name: string): Problem {
  return new Problem('not-found', `Nothing was ever published under the name ${name}. Check the name.`);
}
