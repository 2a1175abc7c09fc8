import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import pg from 'pg';
import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../domain/flow/parse.ts';
import { directory } from '../ledger/directory.ts';
import { type FlowSource, seedFlows } from '../ledger/flows.ts';
import { runSealer } from '../ledger/sealer.ts';
import type { TestInstallation } from '../test/setup/installation.ts';
import { type InstallationPlace, installationParts, type PartsOptions } from '../test/setup/installationParts.ts';
import { people } from '../test/setup/people.ts';
import type { Ground } from './ground.ts';

export interface BenchInstallationOptions extends PartsOptions {
  readonly leaseMs?: number;
  /** As YAML text; the shipped ones when left out. */
  readonly flows?: readonly string[];
}

/**
 * A Tenure of its own on the bench's servers: a database, a Temporal namespace, the real `postgres-role` issuer and sealed
 * store. Its worker has the outbox, the mass revocations and the sealer beside it, as often as `worker/main.ts` has.
 */
export async function benchInstallation(
  ground: Ground,
  { leaseMs = 60_000, flows, ...options }: BenchInstallationOptions = {},
): Promise<TestInstallation> {
  const database = await freshDatabase(await ground.postgresUrl());
  const home = mkdtempSync(join(tmpdir(), 'tenure-bench-keys-'));
  const temporal = { address: await ground.temporalAddress(), namespace: `bench-${database.name}` };
  await registerNamespace(temporal);
  const place: InstallationPlace = {
    databaseUrl: database.url,
    keyDirectory: join(home, 'keys'),
    sealedKey: randomBytes(32).toString('base64'),
    leaseMs,
    temporal,
  };
  const parts = await installationParts(place, { intervalsMs: { outbox: 100, massRevocations: 250 }, ...options });
  await directory(parts.ledger, people, []).recordListed();
  await seedFlows(parts.ledger, flows === undefined ? shippedFlows() : flows.map((source) => flowSource(source)));

  async function startWorker(): Promise<() => Promise<void>> {
    const stop = await parts.startWorker();
    const ending = new AbortController();
    const sealing = runSealer({
      direct: parts.ledger.direct,
      keys: parts.ledger.evidence,
      headFile: join(home, 'evidence-head'),
      intervalMs: 250,
      signal: ending.signal,
      onError: (error) => ground.say(`the sealer failed: ${String(error)}`),
    });
    return async () => {
      ending.abort();
      await Promise.all([stop(), sealing]);
    };
  }

  return {
    ...parts,
    startWorker,
    databaseUrl: database.url,
    namespace: temporal.namespace,
    place,
    async close() {
      await parts.close();
      await database.drop();
      rmSync(home, { recursive: true });
    },
  };
}

/** An empty database on the bench's PostgreSQL; opening the ledger migrates it. */
async function freshDatabase(serverUrl: string): Promise<{ url: string; name: string; drop(): Promise<void> }> {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  await execute(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => execute(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`) };
}

/** One statement, on a connection of its own. */
export async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function registerNamespace({ address, namespace }: { address: string; namespace: string }): Promise<void> {
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') });
  await connection.close();
}

/** The flows that Tenure ships, in the order of their files. */
export function shippedFlows(): FlowSource[] {
  const path = fileURLToPath(new URL('../flows', import.meta.url));
  return readdirSync(path)
    .filter((file) => file.endsWith('.flow.yaml'))
    .sort()
    .map((file) => flowSource(readFileSync(join(path, file), 'utf8'), file));
}

/** @throws Error with the lines at fault */
export function flowSource(source: string, file = 'bench.flow.yaml'): FlowSource {
  const parsed = parseFlow(source, file);
  if (!parsed.ok)
    throw new Error(parsed.errors.map(({ line, reason }) => `${file}, line ${line}: ${reason}`).join('\n'));
  return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
}
