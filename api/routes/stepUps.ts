import { z } from 'zod';
import { duration } from '../../domain/flow/schema.ts';
import { longestPlace, type Place, resources, workspaces } from '../../domain/places.ts';
import { isFinalRequestState, type RequestState } from '../../domain/states.ts';
import { idOfCall } from '../../ledger/callIds.ts';
import { findStepUp, type StepUpSituation } from '../../ledger/queries/stepUps.ts';
import type { Principal } from '../auth/principal.ts';
import type { RouteDependencies } from '../ports.ts';
import { notFound, Problem } from '../problem.ts';
import { Id, longestWaitSeconds, noParams, noQuery, person, Reason, wholeNumber } from '../representations/fields.ts';
import { StepUpBody, stepUpExample } from '../representations/stepUp.ts';
import { defineRoute, type Route } from '../route.ts';
import { stepUpOpener } from '../stepUps/open.ts';
import { requireNotFrozen, stepUpReply } from '../stepUps/reply.ts';

const tag = 'Step-ups';

/** What guards read is a name or a path and nothing else; nothing is folded. */
const placeOf = ({ path, form }: Place) => z.string().max(longestPlace).regex(path, `must be ${form}`);
const word = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits and hyphens');

const StepUpOrderBody = z
  .strictObject({
    tool: word.meta({ description: 'Of `tools` in tenure.yaml.' }),
    action: word,
    resource: placeOf(resources).meta({ description: 'What it is to be used on.' }),
    workspace: placeOf(workspaces).meta({ description: 'In which context.' }),
    justification: Reason,
    ttl: duration(1_000)
      .optional()
      .meta({ description: 'How long a life the grant is to have; as long as it may have when left out.' }),
    onBehalfOf: z
      .union([z.strictObject({ token: z.string().min(1).max(16_384) }), z.strictObject({ person })])
      .optional()
      .meta({
        description:
          'The person it acts for: shown by a token of their own (RFC 8693 subject token, made out to the `subjectAudience` of a provider and to nothing else), or only named, and marked so.',
      }),
  })
  .meta({ id: 'StepUpOrder' });
export type StepUpOrderBody = z.output<typeof StepUpOrderBody>;

export function stepUpRoutes(deps: RouteDependencies): Route[] {
  const { ledger, longPolls } = deps;
  const open = stepUpOpener(deps);
  const isOfAgents = true;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/step-ups',
      operationId: 'stepUp',
      tag,
      summary: 'Ask for access to a tool, for a short while',
      description:
        'The flow on step-ups weighs the risk and looks at the approved policy. What it grants at once is in the answer; else the answer says what is waited for. The grant is bound to the key of the DPoP proof. Sent again with its key, and a new proof by the same key, it finds the same grant.',
      access: { kinds: ['agent'] },
      isOfAgents,
      requestHeaders: { DPoP: 'A proof for this call (RFC 9449 §4), with the key that the grant is to be bound to.' },
      params: noParams,
      query: noQuery,
      body: StepUpOrderBody,
      bodyExample: {
        tool: 'search',
        action: 'read',
        resource: 'orders/2026',
        workspace: 'payments',
        justification: 'Answering ticket 4711',
      },
      reply: {
        status: 200,
        description: 'How it stands.',
        schema: StepUpBody,
        example: stepUpExample,
        headers: { Location: 'The step-up.' },
      },
      problems: [
        'frozen',
        'not-active',
        'unknown-tool',
        'ttl-above-ceiling',
        'invalid-dpop-proof',
        'subject-token-refused',
        'no-flow',
        'ambiguous-flow',
        'no-signer',
        'observe-only',
      ],
      async handle({ principal, body, key, headers }) {
        const identityId = agentOf(principal);
        const stepUpId = await idOfCall(ledger, 'request', { principal: principal.id, key });
        await requireNotFrozen(deps, { identityId, stepUpId });
        const id = await open({ principal, identityId, body, key, dpop: headers['dpop'] });
        const reply = await stepUpReply(deps, await ownStepUp(identityId, id));
        return { body: reply, headers: { Location: `/v1/step-ups/${id}` } };
      },
    }),

    defineRoute({
      method: 'get',
      path: '/v1/step-ups/{stepUpId}',
      operationId: 'getStepUp',
      tag,
      summary: 'Read a step-up of yours, or wait until it is decided',
      description:
        'With `waitSeconds` the answer comes when it is pending no more, at the latest after that time. The token is in it for as long as the grant stands.',
      access: { kinds: ['agent'] },
      isOfAgents,
      isLongPoll: true,
      params: z.strictObject({ stepUpId: Id }),
      query: z.strictObject({
        waitSeconds: wholeNumber(0, longestWaitSeconds)
          .optional()
          .meta({ description: `How long to wait for the end, at most ${longestWaitSeconds} s.` }),
      }),
      reply: { status: 200, description: 'How it stands.', schema: StepUpBody, example: stepUpExample },
      problems: ['not-found', 'frozen', 'no-signer'],
      async handle({ principal, params: { stepUpId: id }, query: { waitSeconds = 0 }, clientGone }) {
        const signal = clientGone();
        const identityId = agentOf(principal);
        const deadline = performance.now() + waitSeconds * 1000;
        let found = await ownStepUp(identityId, id);
        await requireNotFrozen(deps, { identityId, stepUpId: id });
        for (;;) {
          const seconds = (deadline - performance.now()) / 1000;
          if (isFinalRequestState(found.state as RequestState) || seconds <= 0 || signal.aborted) break;
          await longPolls.waitForChange(id, { after: found.sequence, seconds, signal });
          found = await ownStepUp(identityId, id);
        }
        return { body: await stepUpReply(deps, found) };
      },
    }),
  ];

  async function ownStepUp(identityId: string, id: string): Promise<StepUpSituation> {
    const found = await findStepUp(ledger, { id, identityId });
    if (found === undefined) throw notFound('step-up', id);
    return found;
  }
}

function agentOf({ id, identityId }: Principal): string {
  if (identityId !== undefined) return identityId;
  throw new Problem('forbidden', `${id} is no agent. Only agents ask for step-ups.`);
}
