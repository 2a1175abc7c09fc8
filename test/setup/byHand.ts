import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { AdvanceResult, Command, RequestEvent } from '../../contracts/events.ts';
import type { OpenOrder, OpenResult } from '../../contracts/open.ts';
import type { EffectOrder, EffectOutcome, Plan } from '../../contracts/plan.ts';
import { advanceRequest } from '../../ledger/advance.ts';
import { giveCommand } from '../../ledger/commands.ts';
import { openRequest } from '../../ledger/open.ts';
import { answerOrder } from './answeredOrders.ts';
import type { TestInstallation } from './installation.ts';
import { type DecisionAsked, type Opened, openedOnIdentity, signedDecision } from './orders.ts';
import { repeated } from './repeated.ts';

/**
 * Drives requests without a worker, one step at a time, with the same ledger functions and the same effects: so a test
 * can stand between any two steps for as long as it likes. Transactions that are ended are repeated, as Temporal does.
 */
export function byHand(installation: TestInstallation) {
  const { ledger, activities } = installation;

  function tell(requestId: string, event: RequestEvent): Promise<AdvanceResult> {
    return repeated(() => advanceRequest(ledger, { requestId, event }));
  }

  async function planOf(requestId: string): Promise<Plan> {
    return (await tell(requestId, { kind: 'nudge', id: 'nudge' })).plan;
  }

  function tryToOpen(order: OpenOrder): Promise<OpenResult> {
    return repeated(() => openRequest(ledger, order));
  }

  async function orderOf(requestId: string, activity: EffectOrder['activity']): Promise<EffectOrder> {
    const { effects, summary } = await planOf(requestId);
    const order = effects.find((candidate) => candidate.activity === activity);
    if (order === undefined) throw new Error(`request ${requestId} does not plan ${activity}: ${summary}`);
    return order;
  }

  async function perform(order: EffectOrder): Promise<EffectOutcome> {
    try {
      return { ok: true, result: await call(order) };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const reason = error instanceof ApplicationFailure ? (error.type ?? error.name) : error.name;
      return { ok: false, reason, message: error.message };
    }
  }

  function call(order: EffectOrder) {
    switch (order.activity) {
      case 'create':
        return activities.create(order.input);
      case 'promote':
        return activities.promote(order.input);
      case 'quarantine':
        return activities.quarantine(order.input);
      case 'destroy':
        return activities.destroy(order.input);
    }
  }

  /** That it ended, and how, unless its activity has recorded that itself. */
  async function report(requestId: string, order: EffectOrder, outcome: EffectOutcome): Promise<AdvanceResult> {
    await repeated(() => answerOrder(ledger, order, outcome));
    return tell(requestId, { kind: 'effect', id: order.id });
  }

  async function carryOut(requestId: string, activity: EffectOrder['activity']): Promise<AdvanceResult> {
    const order = await orderOf(requestId, activity);
    return report(requestId, order, await perform(order));
  }

  return {
    /** Any event. */
    tell,
    planOf,
    orderOf,
    /** The effect alone: its outcome is not told to the ledger. */
    perform,
    report,
    /** One planned effect and its report. */
    carryOut,
    /** Effects until the plan has none. */
    async carryOutAll(requestId: string): Promise<Plan> {
      for (;;) {
        const plan = await planOf(requestId);
        const [order] = plan.effects;
        if (order === undefined) return plan;
        await report(requestId, order, await perform(order));
      }
    },
    /** May be refused. */
    tryToOpen,
    async open(order: OpenOrder): Promise<Opened> {
      return openedOnIdentity(await tryToOpen(order));
    },
    command(requestId: string, command: Command): Promise<AdvanceResult> {
      const commandId = randomUUID();
      return repeated(() => giveCommand(ledger, { requestId, commandId, command }));
    },
    async decide(asked: DecisionAsked): Promise<AdvanceResult> {
      const decision = await signedDecision(installation, asked);
      return tell(asked.requestId, { kind: 'decision', id: `decision:${decision.id}`, decision });
    },
    /** As the ledger has it, without touching it. */
    async stateOf(requestId: string): Promise<{ state: string; reason: string | null }> {
      const { state, reason } = await ledger.prisma.request.findUniqueOrThrow({ where: { id: requestId } });
      return { state, reason };
    },
    /** `v1 destroyed, v2 current`: every version of the identity and its state. */
    identityOf(requestId: string) {
      return ledger.prisma.identity.findFirstOrThrow({ where: { requests: { some: { id: requestId } } } });
    },
    async credentialsOf(identityId: string): Promise<string> {
      const rows = await ledger.prisma.credential.findMany({ where: { identityId }, orderBy: { version: 'asc' } });
      return rows.map(({ version, state }) => `v${version} ${state}`).join(', ');
    },
  };
}

export type ByHand = ReturnType<typeof byHand>;
