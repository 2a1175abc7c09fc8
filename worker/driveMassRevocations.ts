import { setTimeout as wait } from 'node:timers/promises';
import type { RevocationPace } from '../domain/massRevocation.ts';
import type { Ledger } from '../ledger/client.ts';
import { stepMassRevocations } from '../ledger/massRevocationSteps.ts';

export interface MassRevocationDrive {
  readonly ledger: Ledger;
  /** The limits of an issuer, by its name. */
  readonly paceOf: (issuer: string) => RevocationPace;
  /** Between two looks. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly onError: (error: unknown, what: string) => void;
}

/**
 * Steps through the open mass revocations until `signal` aborts. Every worker may; each begun step ends before this
 * resolves. Why it is a loop over the ledger and no workflow: docs/decisions/mass-revocation.md.
 */
export async function driveMassRevocations(drive: MassRevocationDrive): Promise<void> {
  const { ledger, paceOf, intervalMs, signal, onError } = drive;
  while (!signal.aborted) {
    await stepMassRevocations(ledger, paceOf, onError).catch((error: unknown) => onError(error, 'mass revocations'));
    await wait(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}
