import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type ApiClient, ApiProblem, apiClient } from '../../embedded/demo/apiClient.ts';
import { freePort } from '../../embedded/ports.ts';
import { type EmbeddedRuntime, startEmbedded } from '../../embedded/runtime.ts';

/** What `tenure up` runs, for a story: worker and API as processes of their own, reached over HTTP alone. */
export interface StoryStage {
  readonly runtime: EmbeddedRuntime;
  as(person: string): Promise<ApiClient>;
  asPipeline(name: string, options?: { triggeredBy?: string }): Promise<ApiClient>;
  /** The issuer's own inventory: every login role of this identity that PostgreSQL has. */
  loginsAtIssuer(identityId: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function openStage(): Promise<StoryStage> {
  const stateDir = mkdtempSync(join(tmpdir(), 'tenure-story-'));
  const runtime = await startEmbedded({ stateDir, leaseSeconds: 10, ports: { api: await freePort() } });
  return {
    runtime,
    as: async (person) => apiClient(runtime.apiUrl, await runtime.token(person)),
    asPipeline: async (name, options) => apiClient(runtime.apiUrl, await runtime.pipelineToken(name, options)),
    async loginsAtIssuer(identityId) {
      const client = new pg.Client({ connectionString: runtime.postgres.superuserUrl() });
      await client.connect();
      try {
        const { rows } = await client.query<{ rolname: string }>(
          'SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE $1 ORDER BY rolname',
          [`%${identityId}%`],
        );
        return rows.map(({ rolname }) => rolname);
      } finally {
        await client.end();
      }
    },
    async close() {
      await runtime.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** The problem a call is refused with; fails the test when it is not refused. */
export async function problemOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiProblem) return error.slug;
    throw error;
  }
  throw new Error('The call was not refused.');
}

/** A valid onboarding of a production service account, changed where the story says so. */
export function accountRequest(change: object = {}): object {
  return {
    kind: 'service-account',
    name: 'order-service',
    environment: 'production',
    owner: 'owner@tenure.example',
    purpose: 'Reads orders',
    scopes: ['orders:read'],
    integration: 'payments',
    consumers: ['pipeline:deploy'],
    expiresAt: new Date(Date.now() + 60 * 86_400_000).toISOString(),
    issuer: 'main-db',
    store: 'sealed',
    justification: 'The order service gets its own account',
    ...change,
  };
}
