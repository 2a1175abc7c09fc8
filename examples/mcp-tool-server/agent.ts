import { randomUUID } from 'node:crypto';
import {
  Client,
  type DpopKeyPair,
  DpopSession,
  type FetchLike,
  StreamableHTTPClientTransport,
  withDpop,
} from '@modelcontextprotocol/client';
import { importJWK } from 'jose';
import { z } from 'zod';
import { type AgentKeys, publicHalf, thumbprint } from '../../integrations/agent/agentTokens.ts';
import type { StepUpAnswer, StepUpClient, StepUpOrder } from '../../integrations/agent/stepUpClient.ts';

/** Whom the agent asks, with which keys, and why. */
export interface SteppingUp {
  /** The agent's own installation of Tenure: it is never sent to another one that a server names. */
  readonly tenure: string;
  readonly stepUps: StepUpClient;
  readonly keys: AgentKeys;
  readonly justification: string;
  readonly onBehalfOf?: StepUpOrder['onBehalfOf'];
  /** Somebody must act; `awaiting` says who, and where. */
  onPending?(answer: StepUpAnswer): void;
}

/** Tenure did not grant what the tool asked for. */
export class StepUpDenied extends Error {
  override readonly name = 'StepUpDenied';
}

const challenge = z.object({
  step_up: z.object({
    endpoint: z.string(),
    tool: z.string(),
    action: z.string(),
    resource: z.string(),
    workspace: z.string(),
  }),
});

/** An MCP client whose calls are stepped up when the server asks for it: to whoever uses it, a call just takes longer. */
export async function connectedAgent(server: URL, by: SteppingUp): Promise<Client> {
  const client = new Client({ name: 'paper-agent', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(server, { fetch: await steppingUp(by) }));
  return client;
}

/** A fetch that proves possession of the newest grant, and asks for another one when it is challenged, once per call. */
export async function steppingUp(by: SteppingUp): Promise<FetchLike> {
  const session = await DpopSession.create({ keyPair: await keyPair(by.keys) });
  const proving = (accessToken: string | undefined) => withDpop(session, () => accessToken)(fetch);
  let newest: string | undefined;
  return async (input, init) => {
    const answer = await proving(newest)(input, init);
    if (answer.status !== 401 && answer.status !== 403) return answer;
    const wanted = challenge.safeParse(await answer.clone().json());
    if (!wanted.success) return answer;
    const accessToken = await granted(wanted.data.step_up, by);
    newest = accessToken;
    return proving(accessToken)(input, init);
  };
}

async function granted({ endpoint, ...wanted }: z.infer<typeof challenge>['step_up'], by: SteppingUp): Promise<string> {
  if (endpoint !== `${by.tenure}/v1/step-ups`)
    throw new StepUpDenied('The tool names another installation of Tenure than this agent belongs to.');
  const { justification, onBehalfOf } = by;
  const order = { ...wanted, justification, ...(onBehalfOf === undefined ? {} : { onBehalfOf }) };
  let answer = await by.stepUps.ask(order, randomUUID());
  if (answer.outcome === 'pending') by.onPending?.(answer);
  while (answer.outcome === 'pending') {
    // The same key for the same stage: a second confirmation is the first one.
    for (const { what, stage } of answer.awaiting ?? [])
      if (what === 'agent-key') await by.stepUps.confirm(answer.id, `${answer.id}-${stage}`);
    answer = await by.stepUps.look(answer.id, 30);
  }
  if (answer.grant === undefined) throw new StepUpDenied(`Step-up ${answer.id} was not granted: ${answer.reason}.`);
  return answer.grant.accessToken;
}

/** What proved possession at Tenure proves it here: the grant is bound to this key. */
async function keyPair(keys: AgentKeys): Promise<DpopKeyPair> {
  const publicJwk = publicHalf(keys.possession);
  const [privateKey, publicKey] = await Promise.all([importJWK(keys.possession), importJWK(publicJwk)]);
  if (privateKey instanceof Uint8Array || publicKey instanceof Uint8Array)
    throw new TypeError('The key is a shared secret.');
  return { privateKey, publicKey, publicJwk, thumbprint: await thumbprint(keys.possession), alg: 'ES256' };
}
