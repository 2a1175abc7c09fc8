import pg from 'pg';
import { claimDueRows } from '../../ledger/dueWork.ts';
import { openLedger } from '../../ledger/openLedger.ts';
import { rounded } from '../finding.ts';
import { benchInstallation, execute } from '../installation.ts';
import { median, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

/** As many as the lifecycle claims at once. */
const batch = 100;

/** The lifecycle's claim of what is due, among the rotation, expiry and review dates of a million identities. */
export const dueWorkScan: Row = {
  name: 'due-work-scan',
  dependsOnServer: false,
  async run(ground, size) {
    const { identities, times } =
      size === 'full' ? { identities: 1_000_000, times: 60 } : { identities: 20_000, times: 3 };
    const installation = await benchInstallation(ground);
    const { databaseUrl, keys } = installation;
    // One connection, so that its last statement can be read afterwards.
    const ledger = await openLedger({ databaseUrl, host: 'tenure.test', leaseMs: 60_000, poolSize: 1, keys });
    try {
      ground.say(`due-work scan: making the dates of ${identities} identities`);
      await makeDueRows(databaseUrl, identities);
      ground.say('due-work scan: measuring');
      await claimDueRows(ledger, batch);
      const samples: number[] = [];
      for (let time = 0; time < times; time += 1)
        samples.push(await timed(async () => requireFull(await claimDueRows(ledger, batch))));
      const nodes = await planOfLastStatement(databaseUrl);
      const sequential = nodes.filter((node) => node.startsWith('Seq Scan'));
      if (sequential.length > 0)
        throw new Error(
          `The claim of due work reads a whole table: ${sequential.join(', ')}. Plan: ${nodes.join(' > ')}.`,
        );
      return [
        {
          what: `claiming ${batch} due rows of ${identities} identities`,
          value: median(samples),
          unit: 'ms',
          budget: { is: 'at most', value: 50 },
          subject: `${rounded(median(samples))} ms`,
          baseline: 'none',
          spread: { lowest: Math.min(...samples), highest: Math.max(...samples), rounds: samples.length },
          note: `plan: ${nodes.join(' > ')}`,
        },
      ];
    } finally {
      await ledger.close();
      await installation.close();
    }
  },
};

/** Four dates in a hundred are due, the rest lie ahead. */
async function makeDueRows(databaseUrl: string, identities: number): Promise<void> {
  for (const kind of ['rotation', 'expiry', 'review'])
    await execute(
      databaseUrl,
      `INSERT INTO "due_work" ("kind", "subjectId", "dueAt")
       SELECT '${kind}', 'identity-' || n, now() + (random() * 60 - 2.4) * interval '1 day' FROM generate_series(1, ${identities}) AS n`,
    );
  await execute(databaseUrl, 'VACUUM (ANALYZE) "due_work"');
}

function requireFull(rows: readonly unknown[]): void {
  if (rows.length !== batch) throw new Error(`Only ${rows.length} rows were due; ${batch} should be.`);
}

/** What the planner does with the very statement that `claimDueRows` sent last. @returns its nodes, outermost first */
async function planOfLastStatement(databaseUrl: string): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'bench' });
  await client.connect();
  try {
    const { rows } = await client.query<{ query: string }>(
      `SELECT "query" FROM pg_stat_activity
        WHERE "datname" = current_database() AND "application_name" = 'tenure' AND "query" LIKE '%UPDATE "due_work"%'`,
    );
    const [statement] = rows;
    if (statement === undefined) throw new Error('PostgreSQL shows no claim of due work as the last statement.');
    // Its parameters: the one kind that is asked for (none), twice, and the size of the batch.
    const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `EXPLAIN (FORMAT JSON) ${statement.query}`,
      [null, null, batch],
    );
    const [plan] = explained.rows[0]?.['QUERY PLAN'] ?? [];
    return plan === undefined ? [] : nodesOf(plan.Plan);
  } finally {
    await client.end();
  }
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

function nodesOf(node: PlanNode): string[] {
  const on = node['Index Name'] ?? node['Relation Name'];
  return [
    on === undefined ? node['Node Type'] : `${node['Node Type']} (${on})`,
    ...(node.Plans ?? []).flatMap(nodesOf),
  ];
}
