import { z } from 'zod';
import type { Flow } from '../../domain/flow/language.ts';
import type { RecordedRequest } from '../../domain/flow/recordedRequest.ts';
import { findFlow, publishedFlows } from '../../ledger/queries/flows.ts';
import { recordedRequests } from '../../ledger/queries/recordedRequests.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest, notFound } from '../problem.ts';
import { noParams, noQuery } from '../representations/fields.ts';
import {
  diffExample,
  FlowDiffBody,
  FlowDigest,
  FlowName,
  FlowText,
  largestFlowBodyBytes,
  SimulationBody,
  simulationExample,
} from '../representations/flow.ts';
import { defineRoute, type Route } from '../route.ts';

/** What a change of a flow would mean, before anybody publishes it: nothing here writes. */

const tag = 'Flows';

const OldFlow = z
  .strictObject({
    source: z.exactOptional(FlowText),
    digest: z.exactOptional(FlowDigest),
    name: z.exactOptional(FlowName),
  })
  .refine((old) => Object.keys(old).length === 1, 'must have exactly one of source, digest and name')
  .meta({ description: 'What is to be replaced; the published flow of the same name unless given.' });

/** More is for `tenure flows record` and `simulate`, which take their time. */
const mostRecords = 2_000;

export function flowChangeRoutes(deps: ApiDependencies): Route[] {
  const { ledger, analyst } = deps;

  /** @throws Problem `flow-invalid`, or `not-found` for what is not stored */
  async function oldFlow({ source, digest, name }: z.output<typeof OldFlow>): Promise<Flow> {
    if (source !== undefined) return (await analyst.analyse('read', { source, file: 'old.source' })).flow;
    const stored = await findFlow(ledger.prisma, digest === undefined ? { name: name ?? '' } : { digest });
    if (stored === undefined) throw notFound('flow', digest ?? name ?? '');
    return stored.flow;
  }

  return [
    defineRoute({
      method: 'post',
      path: '/v1/flows/diff',
      operationId: 'diffFlows',
      tag,
      summary: 'Tell what a change of a flow weakens and strengthens',
      description:
        'As `tenure flows diff --json`, beside the other published flows. `new` takes the place of `old`, and of the published flow of its own name.',
      access: { kinds: ['person'], roles: ['flow-author', 'flow-publisher', 'auditor', 'admin', 'responder'] },
      isAnalysis: true,
      writesNothing: true,
      largestBodyBytes: largestFlowBodyBytes,
      params: noParams,
      query: noQuery,
      body: z.strictObject({ old: z.exactOptional(OldFlow), new: FlowText }).meta({ id: 'FlowComparison' }),
      bodyExample: { new: 'apiVersion: tenure/v1\nkind: Flow\n…' },
      reply: {
        status: 200,
        description: 'The changes, field by field, and the requests that are treated differently.',
        schema: FlowDiffBody,
        example: diffExample,
      },
      problems: ['flow-invalid', 'too-complex', 'not-found'],
      async handle({ body }) {
        const { flow } = await analyst.analyse('read', { source: body.new, file: 'new' });
        const published = await publishedFlows(ledger.prisma);
        const old = body.old === undefined ? undefined : await oldFlow(body.old);
        return { body: await analyst.analyse('diff', compared(published, old, flow)) };
      },
    }),

    defineRoute({
      method: 'post',
      path: '/v1/flows/simulate',
      operationId: 'simulateFlow',
      tag,
      summary: 'Play recorded requests through a flow and what is to replace it',
      description:
        'As `tenure flows simulate --json`, with the newest requests of the ledger. What people would have done under the new flow is not known: only what they did is offered to it. It tells whose requests they were.',
      access: { kinds: ['person'], roles: ['flow-author', 'auditor'] },
      isAnalysis: true,
      writesNothing: true,
      largestBodyBytes: largestFlowBodyBytes,
      params: noParams,
      query: noQuery,
      body: z
        .strictObject({
          old: z.exactOptional(OldFlow),
          new: FlowText,
          limit: z
            .int()
            .min(1)
            .max(mostRecords)
            .default(500)
            .meta({ description: 'How many requests of its operation, the newest first.' }),
        })
        .meta({ id: 'FlowTrial' }),
      bodyExample: { new: 'apiVersion: tenure/v1\nkind: Flow\n…', limit: 500 },
      reply: {
        status: 200,
        description: 'The decisions that change, whose and why.',
        schema: SimulationBody,
        example: simulationExample,
      },
      problems: ['flow-invalid', 'too-complex', 'not-found'],
      async handle({ body }) {
        const { flow: after } = await analyst.analyse('read', { source: body.new, file: 'new' });
        const before = await oldFlow(body.old ?? { name: after.metadata.name });
        if (before.on !== after.on)
          throw invalidRequest([
            { field: 'body.new', message: `is on ${after.on}, the flow that it is compared with on ${before.on}` },
          ]);
        const records: RecordedRequest[] = [];
        for await (const record of recordedRequests(ledger.prisma, { kind: after.on, latest: body.limit }))
          records.push(record);
        const simulation = await analyst.analyse('simulation', { before, after, records });
        return { body: { ok: simulation.changed.length === 0, ...simulation } };
      },
    }),
  ];
}

/** What governs together before and after, on the operations that the change is about. */
function compared(published: readonly Flow[], old: Flow | undefined, flow: Flow) {
  const without = (flows: readonly Flow[], ...named: readonly (Flow | undefined)[]) =>
    flows.filter(({ metadata }) => !named.some((other) => other?.metadata.name === metadata.name));
  const before = old === undefined ? published : [...without(published, old), old];
  const after = [...without(before, old, flow), flow];
  const replaced = before.filter((each) => !after.includes(each));
  const operations = new Set([...replaced, flow].map(({ on }) => on));
  const concerned = (flows: readonly Flow[]) => flows.filter(({ on }) => operations.has(on));
  return { before: concerned(before), after: concerned(after) };
}
