import { setTimeout as wait } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { lifecycleScheduleId, lifecycleWorkflowType } from '../../contracts/names.ts';
import { isFinalRequestState } from '../../domain/states.ts';
import { temporalNamespace } from '../../embedded/temporal.ts';
import type { Caller } from './caller.ts';
import type { EventLog } from './eventLog.ts';
import { owedReissues } from './reissues.ts';
import type { Servers } from './servers.ts';
import type { Stage } from './stage.ts';
import { credentialsOf, FreezeView, IdentityView, listAll, MassRevocationView, RequestView } from './views.ts';

/**
 * Longer than anything of Tenure's own may take to find that it was forgotten: an effect whose workflow is lost is looked
 * for after two minutes, due work that failed comes back after one and then two.
 */
const patienceMs = 360_000;
const betweenLooksMs = 700;

const settled: readonly string[] = ['current', 'destroyed'];
const open = `ExecutionStatus = "Running" AND WorkflowType != "${lifecycleWorkflowType}"`;

/**
 * Waits until every request is final, no credential is on its way anywhere, nothing of whoever is final is at the issuer and no
 * workflow runs. What falls due is asked for
 * now, as an operator would, instead of with the minute.
 * @returns what is still not quiet after the longest wait, in words; nothing when all is
 */
export async function untilQuiet(
  { issuer }: Servers,
  stage: Stage,
  calls: Caller,
  log: EventLog,
): Promise<readonly string[]> {
  const connection = await Connection.connect({ address: stage.temporalAddress });
  const client = new Client({ connection, namespace: temporalNamespace });
  try {
    const endsAtMs = Date.now() + patienceMs;
    for (;;) {
      await client.schedule.getHandle(lifecycleScheduleId).trigger();
      await wait(betweenLooksMs);
      const restless = await whatMoves(issuer, calls);
      if (restless.length === 0) {
        const { count } = await client.workflow.count(open);
        if (count === 0) return [];
        restless.push(`${count} workflows run although every request is final`);
      }
      if (Date.now() > endsAtMs) return restless;
    }
  } finally {
    log.note('the wait for quiet is over');
    await connection.close();
  }
}

async function whatMoves(issuer: Servers['issuer'], calls: Caller): Promise<string[]> {
  const requests = await listAll(calls, '/v1/requests', RequestView);
  const identities = await listAll(calls, '/v1/identities', IdentityView);
  const restless = requests
    .filter(({ state }) => !isFinalRequestState(state))
    .map(({ id, kind, state, retries }) => `${kind} ${id} is ${state}; retries: ${JSON.stringify(retries)}`);
  restless.push(
    ...owedReissues(requests, identities).map(({ id }) => `the rotation that review ${id} asked for is to come`),
  );
  for (const { id } of await listAll(calls, '/v1/freezes', FreezeView)) {
    const ofFreeze = await listAll(calls, `/v1/freezes/${id}/revocations`, MassRevocationView);
    const open = ofFreeze.filter(({ state }) => state !== 'closed');
    restless.push(...open.map((each) => `mass revocation ${each.id} is ${each.state}: ${JSON.stringify(each.total)}`));
  }
  for (const { id, state } of identities) {
    if (state === 'revoking') restless.push(`identity ${id} is revoking`);
    const moving = (await credentialsOf(calls, id)).filter((credential) => !settled.includes(credential.state));
    restless.push(...moving.map((credential) => `credential ${credential.handle} is ${credential.state}`));
  }
  const over = identities.filter(({ state }) => state === 'revoked' || state === 'rejected');
  const left = await owningRoles(issuer);
  restless.push(...over.filter(({ id }) => left.has(`tenure_${id}`)).map(({ id }) => `tenure_${id} is at the issuer`));
  return restless;
}

/** What the issuer keeps per identity goes after its last credential: the lifecycle may have to look once more. */
async function owningRoles(issuer: Servers['issuer']): Promise<ReadonlySet<string>> {
  const client = new pg.Client({ connectionString: issuer.url('app') });
  await client.connect();
  const { rows } = await client.query<{ rolname: string }>(
    "SELECT rolname FROM pg_roles WHERE rolname ~ '^tenure_[a-z2-7]{26}$'",
  );
  await client.end();
  return new Set(rows.map(({ rolname }) => rolname));
}
