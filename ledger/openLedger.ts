import { randomBytes } from 'node:crypto';
import { type Ledger, openPrisma } from './client.ts';
import { recordDecisionKeys } from './decisionKeyEntries.ts';
import { openDirect } from './direct.ts';
import { loadSuccessions, requireNotSucceeded } from './evidenceSuccession.ts';
import { ensureInstallation, type Installation } from './installation.ts';
import { bindKeys, type HeldKeys, keyIdsOf } from './installationKeys.ts';
import { applyMigrations } from './migrate.ts';

export interface LedgerSettings {
  readonly databaseUrl: string;
  /** Where the installation is reached: part of the evidence's origin, at the first start only. */
  readonly host: string;
  readonly leaseMs: number;
  readonly poolSize?: number;
  readonly keys: HeldKeys;
}

export interface OpenedLedger extends Ledger {
  readonly installation: Installation;
  close(): Promise<void>;
}

/**
 * Brings the schema up to date, makes or finds the installation, opens the pool, and sees that evidence names the decision
 * keys. Idempotent; any number of processes may do it at once.
 * @throws PostgresTooOld, KeysOfAnotherInstallation, or the driver's error when the database cannot be reached
 */
export async function openLedger({
  databaseUrl,
  host,
  leaseMs,
  poolSize,
  keys,
}: LedgerSettings): Promise<OpenedLedger> {
  await applyMigrations({ databaseUrl });
  const pool = { databaseUrl, ...(poolSize === undefined ? {} : { poolSize }) };
  const prisma = openPrisma(pool);
  const direct = openDirect(pool);
  const installation = await ensureInstallation(prisma, { host, random: randomBytes(16) });
  const successions = await loadSuccessions(prisma);
  const ledger = {
    prisma,
    direct,
    installation,
    leaseMs,
    evidence: {
      macKey: keys.evidenceMac,
      personKey: keys.personPseudonym,
      signingKey: keys.evidenceSigning,
      successions,
      origin: installation.origin,
    },
    decisionKeys: keys.decisionVerifying,
    close: async () => void (await Promise.all([prisma.$disconnect(), direct.close()])),
  };
  try {
    // Before anything is written: what a process with other keys appends, nobody could ever seal.
    requireNotSucceeded(ledger.evidence, successions.at(-1));
    await bindKeys(direct, ledger.evidence, keyIdsOf(keys));
    await recordDecisionKeys(ledger);
  } catch (error) {
    await ledger.close();
    throw error;
  }
  return ledger;
}

/**
 * The same ledger over other connections, which are opened at once and kept: what goes over them waits behind nothing that
 * goes over the others, and needs none when PostgreSQL has no more to give.
 */
export async function overOwnConnections(
  ledger: OpenedLedger,
  { databaseUrl, poolSize }: { readonly databaseUrl: string; readonly poolSize: number },
): Promise<OpenedLedger> {
  const pool = { databaseUrl, poolSize, isKept: true };
  const prisma = openPrisma(pool);
  const direct = openDirect(pool);
  const each = Array.from({ length: poolSize });
  await Promise.all([
    ...each.map(() => prisma.$queryRaw`SELECT 1 FROM pg_sleep(0.05)`),
    ...each.map(() => direct.$queryRaw`SELECT 1 FROM pg_sleep(0.05)`),
  ]);
  return {
    ...ledger,
    prisma,
    direct,
    close: async () => void (await Promise.all([prisma.$disconnect(), direct.close()])),
  };
}
