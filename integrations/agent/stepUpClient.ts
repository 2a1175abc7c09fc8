import { type AgentKeys, agentAssertion, agentConfirmation, dpopProof } from './agentTokens.ts';

/** What an agent asks for. */
export interface StepUpOrder {
  readonly tool: string;
  readonly action: string;
  readonly resource: string;
  readonly workspace: string;
  readonly justification: string;
  /** ISO 8601 duration. */
  readonly ttl?: string;
  /** The person it acts for: shown by that person's own token (RFC 8693), or only said. */
  readonly onBehalfOf?: { readonly token: string } | { readonly person: string };
}

/** How a step-up stands. */
export interface StepUpAnswer {
  readonly id: string;
  readonly outcome: 'granted' | 'denied' | 'pending';
  readonly state: string;
  readonly reason?: string;
  readonly risk: {
    readonly score: number;
    readonly contributions: readonly { readonly add: number; readonly because: string }[];
  };
  /** What is waited for; people find it at `url`. */
  readonly awaiting?: readonly {
    readonly what: 'agent-key' | 'confirmation' | 'approval';
    readonly stage: string;
    readonly of: string;
    readonly url: string;
  }[];
  readonly grant?: {
    readonly accessToken: string;
    readonly tokenType: 'DPoP';
    readonly expiresAt: string;
    readonly expiresIn: number;
    readonly scope: string;
    readonly audience: string;
  };
}

/** Tenure said no (RFC 9457). */
export class StepUpRefused extends Error {
  override readonly name = 'StepUpRefused';
  readonly status: number;
  /** `urn:tenure:problem:…`, the last part. */
  readonly slug: string;
  constructor(status: number, slug: string, detail: string) {
    super(detail);
    this.status = status;
    this.slug = slug;
  }
}

export interface StepUpClient {
  /** @param idempotencyKey the same one finds the same request, however often it is sent */
  ask(order: StepUpOrder, idempotencyKey: string): Promise<StepUpAnswer>;
  /** How it stands; waits for a change for so many seconds (at most 60). */
  look(id: string, waitSeconds?: number): Promise<StepUpAnswer>;
  /** Confirms with the agent's own key what the request shows now. */
  confirm(id: string, idempotencyKey: string): Promise<void>;
}

const answerWithinMs = 70_000;

/**
 * Step-ups of one agent at one installation. Keeps nothing: a grant is the caller's to keep, as long as it lives.
 * @param url the API, as tenure.yaml has it in `publicUrl`
 * @param agentId `agent:<identity>`
 */
export function stepUpClient({ url, agentId, keys }: { url: string; agentId: string; keys: AgentKeys }): StepUpClient {
  const audience = url.replace(/\/$/, '');

  async function call<T>(path: string, { post, proves = false }: { post?: Post; proves?: boolean } = {}): Promise<T> {
    const method = post === undefined ? 'GET' : 'POST';
    const address = `${audience}${path}`;
    const answer = await fetch(address, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${await agentAssertion({ agentId, audience, keys })}`,
        ...(post === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': post.key }),
        ...(proves ? { dpop: await dpopProof({ method, url: address, keys }) } : {}),
      },
      ...(post === undefined ? {} : { body: JSON.stringify(post.body) }),
      // A redirect would carry the assertion to wherever it points.
      redirect: 'error',
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const body: unknown = await answer.json();
    if (answer.ok) return body as T;
    const problem = (typeof body === 'object' && body !== null ? body : {}) as { type?: string; detail?: string };
    throw new StepUpRefused(
      answer.status,
      problem.type?.split(':').at(-1) ?? 'unknown',
      problem.detail ?? `${method} ${path} was answered with ${answer.status}.`,
    );
  }

  return {
    ask: (order, key) => call('/v1/step-ups', { post: { body: order, key }, proves: true }),
    look: (id, waitSeconds = 0) => call(`/v1/step-ups/${encodeURIComponent(id)}?waitSeconds=${waitSeconds}`),
    async confirm(id, key) {
      const path = `/v1/requests/${encodeURIComponent(id)}`;
      const { revision, digest } = await call<{ revision: number; digest: string }>(path);
      const proof = await agentConfirmation({ agentId, audience, digest, keys });
      await call(`${path}/proofs`, { post: { body: { revision, digest, proof }, key } });
    },
  };
}

interface Post {
  readonly body: object;
  readonly key: string;
}
