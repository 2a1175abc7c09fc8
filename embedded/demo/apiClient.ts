import { randomUUID } from 'node:crypto';

/** A problem of the API (RFC 9457), as its caller meets it. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: number;
  /** The last word of `urn:tenure:problem:<slug>`. */
  readonly slug: string;
  constructor(status: number, { type, detail }: { type: string; detail?: string }) {
    super(detail ?? type);
    this.status = status;
    this.slug = type.slice(type.lastIndexOf(':') + 1);
  }
}

/** One principal's calls, each write with an Idempotency-Key of its own. */
export interface ApiClient {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: object): Promise<T>;
}

/** @throws ApiProblem for every answer that is not 2xx */
export function apiClient(baseUrl: string, token: string): ApiClient {
  async function call<T>(path: string, init: RequestInit): Promise<T> {
    const response = await fetch(`${baseUrl}${path}`, {
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${token}` },
    });
    const body: unknown = await response.json();
    if (!response.ok) throw new ApiProblem(response.status, body as { type: string; detail?: string });
    return body as T;
  }
  return {
    get: (path) => call(path, {}),
    post: (path, body) =>
      call(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
        body: JSON.stringify(body),
      }),
  };
}

export interface RequestView {
  readonly id: string;
  readonly identityId: string;
  readonly state: string;
  readonly reason: string | null;
  readonly revision: number;
  readonly sequence: number;
  readonly digest: string;
  readonly heldBy: readonly { readonly kind: string; readonly by: string }[];
}

const finalStates = ['completed', 'denied', 'cancelled', 'expired', 'failed'];
const pollSeconds = 5;

/** Long-polls until the request stands in one of `states`. @throws when it ended in another one */
export async function waitFor(client: ApiClient, requestId: string, states: readonly string[]): Promise<RequestView> {
  let request = await client.get<RequestView>(`/v1/requests/${requestId}`);
  while (!states.includes(request.state)) {
    if (finalStates.includes(request.state)) {
      throw new Error(
        `Request ${requestId} ended ${request.state} (${request.reason ?? 'no reason'}), not ${states.join(' or ')}.`,
      );
    }
    const query = `waitSeconds=${pollSeconds}&afterSequence=${request.sequence}`;
    request = await client.get<RequestView>(`/v1/requests/${requestId}?${query}`);
  }
  return request;
}

/** Approves exactly what the request shows to this approver now. */
export async function approve(client: ApiClient, requestId: string): Promise<void> {
  const { revision, digest } = await client.get<RequestView>(`/v1/requests/${requestId}`);
  await client.post(`/v1/requests/${requestId}/decisions`, { verdict: 'approve', revision, digest });
}
