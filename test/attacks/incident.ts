import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { z } from 'zod';
import { lifecycleActivities } from '../../activities/lifecycle.ts';
import { Id } from '../../api/representations/fields.ts';
import { RequestBody } from '../../api/representations/request.ts';
import type { OpenOrder } from '../../domain/flow/open.ts';
import { advanceRequest } from '../../ledger/advance.ts';
import { openRequest } from '../../ledger/open.ts';
import { reissueOrder } from '../../ledger/reissue.ts';
import { type ApiFixture, apiFixture, emailOf, type PersonName } from '../api/apiFixture.ts';
import { decide, onboarded } from '../api/onboarded.ts';
import { answerOrder } from '../setup/answeredOrders.ts';
import { openOrder } from '../setup/orders.ts';
import { reviewFlow } from '../setup/reviews.ts';

/** What attacks on rotations share: flows under which they wait, an incident, and what Tenure does by itself, by hand. */

const waiting = (name: string, where: string, approval: string) => `apiVersion: tenure/v1
kind: Flow
metadata: {name: ${name}, owner: security, description: It waits for somebody of security.}
on: rotation
subject: {where: '${where}'}
limits: {grace: PT1H}
stages:
  - {id: ownership, when: 'request.trigger == "person"', verify: {that: owner.active, otherwise: owner-not-valid}}
  - id: security
    ${approval}
    approval:
      require: [{from: 'group:security', count: 1}]
      separation: [requester, onBehalfOf]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: rotate, effect: rotate}
tests: [{name: it waits, given: {subject: {environment: asking}}, expect: {outcome: waiting}}]
`;

/** In `asking`, people and pipelines are asked as in the shipped flow, incidents and schedules are not; in `strict`, everybody. */
const rotationFlows = [
  waiting(
    'rotation-asking',
    'subject.environment == "asking"',
    `when: 'request.trigger == "person" || request.trigger == "pipeline"'`,
  ),
  waiting('rotation-strict', 'subject.environment == "strict"', ''),
];

const Owed = z.looseObject({
  owedReissues: z.array(z.looseObject({ reviewId: Id, replaces: z.int(), requestId: Id.nullable() })),
});

export type Attacked = Awaited<ReturnType<typeof attackedApi>>;

/** One API for a file of attacks. */
export async function attackedApi() {
  const api = await apiFixture({ lives: 'file', moreFlows: [...rotationFlows, reviewFlow] });
  return { api, ...actions(api) };
}

function actions(api: ApiFixture) {
  const { ledger } = api;
  const read = async (requestId: string) => (await api.as('auditor', `/v1/requests/${requestId}`)).as(RequestBody);
  const post = (person: PersonName, path: string, body: object) => api.as(person, path, { body });
  const open = (order: OpenOrder) => openRequest(ledger, order);
  let number = 0;
  return {
    read,
    open,
    /** An order as a worker would get it, from anybody. */
    order: (identityId: string, change: Partial<OpenOrder> = {}) =>
      openOrder('rotation', { identityId, principal: emailOf('requester'), ...change }),
    /** An active identity, owned by `owner`, with version 1 current. */
    async identity(environment: 'asking' | 'strict' = 'asking'): Promise<string> {
      return (await onboarded(api, { name: `bot-${number++}`, environment })).identityId;
    },
    rotate: (person: PersonName, identityId: string, key: string = randomUUID()) =>
      api.as(person, `/v1/identities/${identityId}/rotations`, { body: { justification: 'a new one' }, key }),
    /** A responder freezes it, its owner attests, security agrees: it thaws, and what was suspected is to be replaced. */
    async incident(identityId: string, asked: object = { reissue: true }): Promise<string> {
      const frozen = await post('responder-1', '/v1/freezes', { identityIds: [identityId], reason: 'it leaked' });
      const { id: freezeId } = frozen.as(z.looseObject({ id: Id }));
      return this.reviewed(identityId, { freezeId, ...asked });
    },
    async reviewed(identityId: string, asked: object): Promise<string> {
      const review = await post('owner', `/v1/identities/${identityId}/reviews`, {
        justification: 'looked at',
        ...asked,
      });
      const { id } = review.as(RequestBody);
      for (const person of ['owner', 'security-1'] as const) (await decide(api, person, id)).as(RequestBody);
      expect((await read(id)).state).toBe('completed');
      return id;
    },
    /** What the outbox has the worker open. */
    reissue: async (reviewId: string) => open(await reissueOrder(ledger, reviewId)),
    async owed(identityId: string) {
      return (await api.as('owner', `/v1/identities/${identityId}`)).as(Owed).owedReissues;
    },
    command: (person: PersonName, requestId: string, verb: 'cancel' | 'pause' | 'resume' | 'rollback', more = {}) =>
      post(person, `/v1/requests/${requestId}/${verb}`, { reason: 'a test', ...more }),
    /** One round of the lifecycle, with whatever fell due. */
    async lifecycle(): Promise<void> {
      const unused = async () => {
        throw new Error('nothing of this is due');
      };
      await lifecycleActivities({
        ledger,
        destroy: unused,
        reconcile: unused,
        starts: { open, nudge: async () => undefined, revive: async () => undefined },
        onError: (error) => {
          throw error;
        },
      }).runDueWork();
    },
    /** The first effect that is planned, and no more. */
    async carryOutOne(requestId: string): Promise<void> {
      const { plan } = await advanceRequest(ledger, { requestId, event: { kind: 'nudge', id: 'nudge' } });
      const [effect] = plan.effects;
      if (effect?.activity !== 'create')
        throw new Error(`request ${requestId} does not plan to create: ${plan.summary}`);
      const outcome = { ok: true, result: { fingerprint: 'a1b2' } } as const;
      if (!(await answerOrder(ledger, effect, outcome))) throw new Error(`the order ${effect.id} counts no more`);
      await advanceRequest(ledger, { requestId, event: { kind: 'effect', id: effect.id } });
    },
    /** As if its time had come. */
    async fallsDue(identityId: string): Promise<void> {
      await ledger.prisma.$executeRaw`UPDATE "reissue_order" SET "dueAt" = now() WHERE "identityId" = ${identityId}`;
    },
    async rotationFallsDue(identityId: string): Promise<void> {
      await ledger.prisma.$executeRaw`
        UPDATE "due_work" SET "dueAt" = now() WHERE "kind" = 'rotation' AND "subjectId" = ${identityId}`;
    },
    /** The open rotation of the identity. */
    async openRotation(identityId: string) {
      const { id } = await ledger.prisma.request.findFirstOrThrow({
        where: { identityId, kind: 'rotation', finishedAt: null },
      });
      return read(id);
    },
    async credentials(identityId: string): Promise<string> {
      const rows = await ledger.prisma.credential.findMany({ where: { identityId }, orderBy: { version: 'asc' } });
      return rows.map(({ version, state }) => `v${version} ${state}`).join(', ');
    },
    /** Who was told of what, by the outbox. */
    async told(requestId: string): Promise<unknown[]> {
      const rows = await ledger.prisma.outboxMessage.findMany({
        where: { kind: 'notify', payload: { path: ['requestId'], equals: requestId } },
      });
      return rows.map(({ payload }) => payload);
    },
  };
}
