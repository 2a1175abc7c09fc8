import type { AdvanceResult, Command } from '../domain/flow/events.ts';
import { advanceRequest } from './advance.ts';
import type { Ledger } from './client.ts';

/**
 * Gives a command to a request in a transaction of its own, Temporal up or down: the outbox tells the workflow. The
 * caller has authorised it. Idempotent by `commandId` (made from the principal and the Idempotency-Key).
 * @throws RequestMissing
 */
export async function giveCommand(
  ledger: Ledger,
  { requestId, commandId, command }: { requestId: string; commandId: string; command: Command },
): Promise<AdvanceResult> {
  return advanceRequest(ledger, { requestId, event: { kind: 'command', id: `command:${commandId}`, command } });
}
