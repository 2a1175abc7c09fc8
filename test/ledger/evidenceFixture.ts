import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { afterEach } from 'vitest';
import { type DirectPool, openDirect } from '../../ledger/direct.ts';
import { appendEvidence, type EvidenceDraft, type EvidenceKeys } from '../../ledger/evidence.ts';
import { PrismaClient } from '../../prisma/generated/client.ts';
import { freshDatabase } from '../setup/database.ts';

export interface EvidenceFixture {
  readonly ledger: PrismaClient;
  readonly direct: DirectPool;
  readonly keys: EvidenceKeys;
  readonly databaseUrl: string;
  readonly directory: string;
  readonly headFile: string;
  /** A connection of its own, as the owner of all tables: for attacks and for transactions that stay open. */
  connect(): Promise<pg.Client>;
  append(...drafts: Partial<EvidenceDraft>[]): Promise<void>;
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A ledger with evidence keys and a directory for the sealer's files; all gone after the test. */
export async function evidenceFixture(): Promise<EvidenceFixture> {
  const database = await freshDatabase();
  cleanups.push(() => database.drop());
  const directory = mkdtempSync(join(tmpdir(), 'tenure-evidence-'));
  cleanups.push(async () => rmSync(directory, { recursive: true, force: true }));
  const ledger = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.url, max: 10 }) });
  cleanups.push(() => ledger.$disconnect());
  const keys = {
    macKey: createSecretKey(randomBytes(32)),
    personKey: createSecretKey(randomBytes(32)),
    signingKey: generateKeyPairSync('ed25519').privateKey,
    origin: 'tenure.example/evidence',
  };
  const direct = openDirect({ databaseUrl: database.url });
  cleanups.push(() => direct.close());
  return {
    ledger,
    direct,
    keys,
    databaseUrl: database.url,
    directory,
    headFile: join(directory, 'head'),
    async connect() {
      const client = new pg.Client({ connectionString: database.url });
      // A test that ends while its connection is killed by the clean-up is no failure of the test.
      client.on('error', () => {});
      await client.connect();
      cleanups.push(() => client.end());
      return client;
    },
    async append(...drafts) {
      await ledger.$transaction((tx) => appendEvidence(tx, keys, drafts.map(draftOf)), {
        maxWait: 20_000,
        timeout: 20_000,
      });
    },
  };
}

export function draftOf(given: Partial<EvidenceDraft> = {}): EvidenceDraft {
  return {
    chain: 'request/r1',
    kind: 'request.opened',
    actor: 'alice@example.test',
    at: new Date('2026-11-22T10:00:00Z'),
    data: {},
    ...given,
  };
}
