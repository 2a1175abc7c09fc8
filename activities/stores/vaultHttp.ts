import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';

export interface VaultRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below `/v1/`, its segments encoded already. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface VaultAnswer {
  readonly status: number;
  /** Undefined when the answer has no body. */
  readonly body: unknown;
}

export interface VaultEndpoint {
  readonly address: string;
  /** PEM certificates that sign Vault's; the system's otherwise. */
  readonly ca?: string | undefined;
  readonly timeoutMs: number;
}

/** Far above the 1 MiB that Vault takes for one entry. */
const largestAnswerBytes = 4 * 1024 * 1024;

/**
 * One request to Vault's HTTP API on a connection of its own, bounded in time and size. Redirects are answers like any
 * other: following one would carry the token to an address that nobody configured.
 * @throws Error when no complete answer arrived; its message holds nothing of the request
 */
export async function askVault({ address, ca, timeoutMs }: VaultEndpoint, order: VaultRequest): Promise<VaultAnswer> {
  const url = new URL(`${address.replace(/\/+$/, '')}/v1/${order.path}`);
  const body = order.body === undefined ? undefined : Buffer.from(JSON.stringify(order.body));
  const options = {
    method: order.method,
    headers: {
      // Vault Agent and proxies may demand it, as proof that the request was not forged through another service.
      'x-vault-request': 'true',
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
      ...order.headers,
    },
    // No connection is kept: calls are rare, and none can fail because the other side had closed an idle one.
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    ...(ca === undefined ? {} : { ca }),
  } as const;
  const { promise, resolve, reject } = Promise.withResolvers<VaultAnswer>();
  const request = (url.protocol === 'https:' ? requestTls : requestPlain)(url, options, async (response) => {
    try {
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response) {
        size += chunk.length;
        if (size > largestAnswerBytes) throw new RangeError(`the answer is larger than ${largestAnswerBytes} bytes`);
        chunks.push(chunk);
      }
      resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks)) });
    } catch (error) {
      reject(error);
    }
  });
  request.on('error', reject);
  request.end(body);
  return promise;
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // Not passed on as a cause: a parser's message quotes the text, and the text may hold a value.
    throw new SyntaxError('the answer is not JSON');
  }
}
