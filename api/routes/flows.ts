import { createHash } from 'node:crypto';
import { z } from 'zod';
import { pictureStyle } from '../../domain/flow/analysis/pathPicture.ts';
import { requestKinds } from '../../domain/flow/language.ts';
import { findFlow, listPublishedFlows, publishedFlows } from '../../ledger/queries/flows.ts';
import { badCursor } from '../cursor.ts';
import type { ApiDependencies } from '../ports.ts';
import { notFound } from '../problem.ts';
import { defaultPageLimit, noParams, pageQuery } from '../representations/fields.ts';
import {
  FlowDigest,
  FlowName,
  FlowPathBody,
  FlowSummary,
  FlowVersion,
  flowExample,
  flowSummary,
  flowVersionBody,
  pathExample,
} from '../representations/flow.ts';
import { defineRoute, type Route } from '../route.ts';

const tag = 'Flows';
const readers = { kinds: ['person', 'pipeline'] } as const;

const Named = z.strictObject({ name: FlowName });
const OfVersion = z.strictObject({
  digest: FlowDigest.optional().meta({ description: 'A stored version; the published one unless given.' }),
});

export function flowRoutes(deps: ApiDependencies): Route[] {
  const { ledger, analyst } = deps;

  /** The published flow of this name, or that version of it. @throws Problem `not-found` */
  async function storedFlow(name: string, digest: string | undefined) {
    const stored = await findFlow(ledger.prisma, { name, digest });
    if (stored === undefined) throw notFound('flow', digest === undefined ? name : `${name} with digest ${digest}`);
    return stored;
  }

  /** The flow, and what is published beside it on the same operation. */
  async function governing(name: string, digest: string | undefined) {
    const { flow } = await storedFlow(name, digest);
    const published = await publishedFlows(ledger.prisma);
    return { flow, others: published.filter((other) => other.on === flow.on && other.metadata.name !== name) };
  }

  return [
    defineRoute({
      method: 'get',
      path: '/v1/flows',
      operationId: 'listFlows',
      tag,
      summary: 'List the published flows',
      description: 'In the order of their names. Of those that fit a request, the most specific governs it.',
      access: readers,
      params: noParams,
      query: z.strictObject({ ...pageQuery, on: z.enum(requestKinds).optional() }),
      reply: {
        status: 200,
        description: 'One page.',
        schema: z.object({ items: z.array(FlowSummary), nextCursor: z.string().nullable() }),
        example: { items: [flowExample], nextCursor: null },
      },
      problems: [],
      async handle({ query: { limit = defaultPageLimit, cursor, on } }) {
        const { items, next } = await listPublishedFlows(ledger.prisma, { on, limit, after: nameOf(cursor) });
        const nextCursor = next === undefined ? null : Buffer.from(next).toString('base64url');
        return { body: { items: items.map(flowSummary), nextCursor } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/flows/{name}',
      operationId: 'getFlow',
      tag,
      summary: 'Read a flow: as it was written, and as it was read',
      description: 'The published version, or any stored one by its digest: those that running requests keep, too.',
      access: readers,
      params: Named,
      query: OfVersion,
      reply: {
        status: 200,
        description: 'The version.',
        schema: FlowVersion,
        example: { ...flowExample, source: 'apiVersion: tenure/v1\n…', flow: { apiVersion: 'tenure/v1' } },
      },
      problems: ['not-found'],
      async handle({ params: { name }, query: { digest } }) {
        return { body: flowVersionBody(await storedFlow(name, digest)) };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/flows/{name}/paths',
      operationId: 'listFlowPaths',
      tag,
      summary: 'Tell every way that a request can go under a flow, in words',
      description:
        'For the requests that it governs beside the other published flows: more specific ones take theirs away. None is left out.',
      access: readers,
      isAnalysis: true,
      params: Named,
      query: OfVersion,
      reply: {
        status: 200,
        description: 'All paths.',
        schema: z.object({ items: z.array(FlowPathBody).readonly() }),
        example: { items: [pathExample] },
      },
      problems: ['not-found', 'too-complex'],
      async handle({ params: { name }, query: { digest } }) {
        return { body: { items: await analyst.analyse('paths', await governing(name, digest)) } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/flows/{name}/paths.svg',
      operationId: 'drawFlowPaths',
      tag,
      summary: 'Draw the same paths as a picture',
      description:
        'SVG 1.1 without scripts, links or anything from outside; with a title and a description for readers.',
      access: readers,
      isAnalysis: true,
      params: Named,
      query: OfVersion,
      reply: {
        status: 200,
        description: 'The picture.',
        media: 'image/svg+xml',
        schema: z.string(),
        example: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 400" role="img"></svg>',
        headers: { 'Content-Security-Policy': "Allows the picture's own style and nothing else." },
      },
      problems: ['not-found', 'too-complex'],
      async handle({ params: { name }, query: { digest } }) {
        const body = await analyst.analyse('picture', await governing(name, digest));
        return { body, headers: { 'Content-Security-Policy': picturePolicy } };
      },
    }),
  ];
}

/** Opened by itself it is a page of this origin: it may be styled, and do nothing. */
const picturePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(pictureStyle).digest('base64')}'`,
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  'sandbox',
].join('; ');

/** A cursor of the list is the last name, as base64url. */
function nameOf(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const name = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!FlowName.safeParse(name).success) throw badCursor();
  return name;
}
