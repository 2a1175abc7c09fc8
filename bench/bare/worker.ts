import { createHash, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WithStartWorkflowOperation } from '@temporalio/client';
import { bundleWorkflowCode, NativeConnection, Worker, type WorkflowBundle } from '@temporalio/worker';
import pg from 'pg';
import type { Issuer } from '../../activities/issuers/issuer.ts';
import type { Store } from '../../activities/stores/store.ts';
import {
  type BareActivities,
  type BareRemoteActivities,
  bareGrantType,
  bareTaskQueue,
  bareWorkflowType,
  decideUpdate,
  openUpdate,
} from './names.ts';

export interface BarePlace {
  readonly databaseUrl: string;
  readonly temporal: { readonly address: string; readonly namespace: string };
}

/** The bare workflow's worker, tuned as Tenure's. @returns how to stop it */
export async function startBareWorker(place: BarePlace, remote: BareRemoteActivities): Promise<() => Promise<void>> {
  // As many connections as Tenure's ledger has.
  const pool = new pg.Pool({ connectionString: place.databaseUrl, max: 20 });
  // An idle connection that breaks has left the pool already; without listeners the event would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  await pool.query(
    `CREATE TABLE IF NOT EXISTS "bare_row" (
       "id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "identityId" text NOT NULL, "what" text NOT NULL,
       "at" timestamptz NOT NULL DEFAULT now())`,
  );
  const activities: BareActivities = {
    async insert({ identityId, what }) {
      const { rows } = await pool.query<{ id: string }>({
        name: 'insert',
        text: 'INSERT INTO "bare_row" ("identityId", "what") VALUES ($1, $2) RETURNING "id"',
        values: [identityId, what],
      });
      return { sequence: Number(rows[0]?.id) };
    },
    ...remote,
  };
  const connection = await NativeConnection.connect({ address: place.temporal.address });
  const worker = await Worker.create({
    connection,
    namespace: place.temporal.namespace,
    taskQueue: bareTaskQueue,
    workflowBundle: await bareBundle(),
    activities,
    maxCachedWorkflows: 500,
    maxConcurrentActivityTaskExecutions: 50,
    maxConcurrentLocalActivityExecutions: 20,
  });
  const running = worker.run();
  return async () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    await running;
    await connection.close();
    await pool.end();
  };
}

const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

let bundle: Promise<WorkflowBundle> | undefined;

/** Once per process: several rows need it. */
function bareBundle(): Promise<WorkflowBundle> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('./workflow.ts', import.meta.url)),
    logger: quiet,
  });
  return bundle;
}

/** The effects of `activities/issuance.ts` at issuer and store, in its order, without the ledger around them. */
export function bareEffects({ issuer, store }: { issuer: Issuer; store: Store }): BareRemoteActivities {
  return {
    async create({ identityId }) {
      const handle = `${identityId}-v1`;
      const secret = await store.stage({ identityId, version: 1, value: await issuer.generateSecret({ handle }) });
      const validUntil = new Date(Date.now() + 60_000);
      await issuer.create({ handle, identityId, secret, scopes: [], validUntil });
      await requireAccepted(issuer, { handle, secret });
      return { fingerprint: createHash('sha256').update(secret).digest('hex') };
    },
    async promote({ identityId }) {
      const handle = `${identityId}-v1`;
      await issuer.extend({ handle, validUntil: new Date(Date.now() + 86_400_000) });
      const secret = (await store.readStaged({ identityId, version: 1 })) ?? '';
      await requireAccepted(issuer, { handle, secret });
      await store.promote({ identityId, version: 1, epoch: 1 });
      return { outcome: 'served' };
    },
  };
}

async function requireAccepted(issuer: Issuer, login: { handle: string; secret: string }): Promise<void> {
  if ((await issuer.prove(login)) === 'refused') throw new Error(`The issuer refuses ${login.handle}, which it made.`);
}

export interface BareClient {
  readonly client: Client;
  /** One update-with-start, as Tenure's gateway makes it. */
  open(order: { identityId: string; approvals: number }): Promise<unknown>;
  decide(order: { identityId: string; by: string }): Promise<unknown>;
  /** Opens one with the events of a grant, and waits for its end. */
  grant(id: string): Promise<void>;
  /** Resolves when the workflow has ended. */
  ended(identityId: string): Promise<unknown>;
  close(): Promise<void>;
}

export async function bareClient({ temporal: { address, namespace } }: BarePlace): Promise<BareClient> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  const workflowId = (identityId: string) => `bare/${identityId}`;
  const update = (name: string, identityId: string, arg: unknown, workflowType = bareWorkflowType) =>
    client.workflow.executeUpdateWithStart(name, {
      args: [arg],
      updateId: randomUUID(),
      startWorkflowOperation: new WithStartWorkflowOperation(workflowType, {
        workflowId: workflowId(identityId),
        taskQueue: bareTaskQueue,
        args: [],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      }),
    });
  return {
    client,
    open: (order) => update(openUpdate, order.identityId, order),
    decide: ({ identityId, by }) => update(decideUpdate, identityId, { by }),
    ended: (identityId) => client.workflow.getHandle(workflowId(identityId)).result(),
    async grant(id) {
      await update(openUpdate, id, { identityId: id }, bareGrantType);
      await client.workflow.getHandle(workflowId(id)).result();
    },
    close: () => connection.close(),
  };
}
