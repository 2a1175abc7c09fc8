import { randomUUID } from 'node:crypto';
import type { StepUpBody } from '../../api/representations/stepUp.ts';
import type { StepUpOrderBody } from '../../api/routes/stepUps.ts';
import { type AgentPolicy, agentPrincipal } from '../../domain/agents.ts';
import { type DpopKey, dpopKey, signedProof } from '../integrations/dpopKey.ts';
import { plainFlows } from '../protocols/flows.ts';
import { type AgentKeyPair, assertionOf, insertAgent, newAgentKey } from './agents.ts';
import { type TestInstallation, testInstallation } from './installation.ts';
import { type InstallationApi, installationApi } from './installationApi.ts';
import { insertSigner } from './signer.ts';
import { keyedStepUpFlows, stepUpFlow, stepUpPolicy } from './stepUps.ts';

/** An agent of the tests, with both of its keys. */
export interface ActingAgent {
  readonly identityId: string;
  /** `agent:<identity>`. */
  readonly id: string;
  readonly authentication: AgentKeyPair;
  readonly possession: DpopKey;
}

/** What the API answered, whatever it was. */
export interface Answered<T> {
  readonly status: number;
  /** Of a problem: the last word of its type. */
  readonly slug: string | undefined;
  readonly detail: string;
  readonly body: T;
  readonly headers: Headers;
}

export interface Sending {
  readonly key?: string;
  /** The header DPoP; a fresh proof by the agent's key when left out, none when null. */
  readonly dpop?: string | null;
  readonly assertion?: string;
}

/** A real installation with its API, a signer, and the shipped flow on step-ups. */
export async function steppingUp({ moreFlows = [] }: { moreFlows?: readonly string[] } = {}) {
  const installation = await testInstallation({
    flows: [...plainFlows, stepUpFlow, ...keyedStepUpFlows, ...moreFlows],
  });
  const stopWorker = await installation.startWorker();
  const api = await installationApi(installation);
  const { ledger, store } = installation;
  await insertSigner(ledger, async ({ identityId, version, privateKey: value }) => {
    await store.stage({ identityId, version, value });
    await store.promote({ identityId, version, epoch: 1 });
  });
  return { installation, api, ...callsOf(api), newAgent, close };

  async function newAgent(policy: AgentPolicy = stepUpPolicy): Promise<ActingAgent> {
    const authentication = await newAgentKey();
    const registration = { publicKey: authentication.publicKey };
    const identityId = await insertAgent(ledger, { registration, policy, owner: 'owner@tenure.example' });
    return { identityId, id: agentPrincipal(identityId), authentication, possession: dpopKey() };
  }

  async function close(): Promise<void> {
    await api.close();
    await stopWorker();
    await installation.close();
  }
}

export type SteppingUp = Awaited<ReturnType<typeof steppingUp>>;

/** Reading an order in `payments`: of low risk, and within the policy. */
export const ask = (change: Partial<StepUpOrderBody> = {}): StepUpOrderBody => ({
  tool: 'search',
  action: 'read',
  resource: 'orders/1',
  workspace: 'payments',
  justification: 'the tests want it',
  ...change,
});

/** What agents send, each call with a fresh assertion. */
export function callsOf({ address, publicUrl }: Pick<InstallationApi, 'address' | 'publicUrl'>) {
  const proofOf = (agent: ActingAgent, claims: Record<string, unknown> = {}): string => {
    const iat = Math.floor(Date.now() / 1000);
    return signedProof(agent.possession, {
      htm: 'POST',
      htu: `${publicUrl}/v1/step-ups`,
      iat,
      jti: randomUUID(),
      ...claims,
    });
  };

  async function call<T>(
    agent: ActingAgent,
    path: string,
    { body, key = randomUUID(), dpop, assertion }: Sending & { body?: unknown } = {},
  ): Promise<Answered<T>> {
    const { identityId, authentication } = agent;
    const bearer = assertion ?? (await assertionOf({ identityId, key: authentication, audience: publicUrl }));
    const response = await fetch(`${address}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${bearer}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': key }),
        ...(typeof dpop === 'string' ? { dpop } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    const { type, detail = '' } = answer as { type?: string; detail?: string };
    const slug = response.ok ? undefined : type?.split(':').at(-1);
    return { status: response.status, slug, detail, body: answer as T, headers: response.headers };
  }

  return {
    proofOf,
    call,
    /** POST /v1/step-ups. */
    askFor: (agent: ActingAgent, body: object = ask(), { dpop = proofOf(agent), ...sending }: Sending = {}) =>
      call<StepUpBody>(agent, '/v1/step-ups', { body, dpop, ...sending }),
    /** GET /v1/step-ups/{id}. */
    look: (agent: ActingAgent, id: string, waitSeconds = 0) =>
      call<StepUpBody>(agent, `/v1/step-ups/${id}?waitSeconds=${waitSeconds}`),
  };
}

/** Why the agent was refused, from evidence on its own chain, oldest first. */
export async function refusalsOf(
  { ledger }: TestInstallation,
  { identityId }: ActingAgent,
): Promise<readonly string[]> {
  const rows = await ledger.prisma.evidenceEntry.findMany({ where: { identityId }, orderBy: { id: 'asc' } });
  const entries = rows.map(({ body }) => JSON.parse(body) as { kind: string; data: { reason?: string } });
  return entries.flatMap(({ kind, data }) => (kind === 'step-up.refused' ? (data.reason ?? []) : []));
}
