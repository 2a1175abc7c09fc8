import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { inject } from 'vitest';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { type PolicyDocument, readPolicyDocument } from '../../domain/flow/publishing/document.ts';
import { directory } from '../../ledger/directory.ts';
import { type FlowSource, seedFlows } from '../../ledger/flows.ts';
import { freshDatabase } from './database.ts';
import {
  type InstallationParts,
  type InstallationPlace,
  installationParts,
  type PartsOptions,
} from './installationParts.ts';
import { people } from './people.ts';

export interface TestInstallation extends InstallationParts {
  readonly databaseUrl: string;
  readonly namespace: string;
  /** For a worker in a process of its own. */
  readonly place: InstallationPlace;
}

export interface InstallationOptions extends PartsOptions {
  readonly leaseMs?: number;
  /** Extra or other flows, as YAML text; the shipped ones when left out. */
  readonly flows?: readonly string[];
  /** A Temporal server of the test's own; the run's when left out. */
  readonly temporalAddress?: string;
}

/**
 * One installation on the run's real servers: a database, a Temporal namespace and roles of its own, with the real
 * `postgres-role` issuer (`main-db`), the real `agent-key` issuer (`agents`) and the real sealed store (`sealed`).
 */
export async function testInstallation(options: InstallationOptions = {}): Promise<TestInstallation> {
  const { leaseMs = 10_000, flows, temporalAddress: address = inject('temporalAddress'), ...wraps } = options;
  const database = await freshDatabase();
  const directoryOfKeys = mkdtempSync(join(tmpdir(), 'tenure-keys-'));
  const namespace = `t-${database.name}`;
  await registerNamespace(address, namespace);
  const place: InstallationPlace = {
    databaseUrl: database.url,
    keyDirectory: join(directoryOfKeys, 'keys'),
    sealedKey: randomBytes(32).toString('base64'),
    leaseMs,
    temporal: { address, namespace },
  };
  const parts = await installationParts(place, wraps);
  await directory(parts.ledger, people, []).recordListed();
  if (flows === undefined) await seedFlows(parts.ledger, shippedFlows(), shippedInvariants());
  else await seedFlows(parts.ledger, flows.map(flowSource));
  return {
    ...parts,
    databaseUrl: database.url,
    namespace,
    place,
    async close() {
      await parts.close();
      await database.drop();
      rmSync(directoryOfKeys, { recursive: true });
    },
  };
}

async function registerNamespace(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') });
  await connection.close();
}

function shippedFlows(): FlowSource[] {
  const path = fileURLToPath(new URL('../../flows', import.meta.url));
  return readdirSync(path)
    .filter((file) => file.endsWith('.flow.yaml'))
    .map((file) => flowSource(readFileSync(join(path, file), 'utf8')));
}

function shippedInvariants(): PolicyDocument {
  const read = readPolicyDocument(
    readFileSync(new URL('../../flows/invariants.yaml', import.meta.url), 'utf8'),
    'invariants.yaml',
  );
  if (!read.ok) throw new Error(read.errors.map(({ line, reason }) => `line ${line}: ${reason}`).join('\n'));
  return read.document;
}

/** A flow as a ledger is seeded with it. */
export function flowSource(source: string): FlowSource {
  const parsed = parseFlow(source, 'test.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ line, reason }) => `line ${line}: ${reason}`).join('\n'));
  return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
}
