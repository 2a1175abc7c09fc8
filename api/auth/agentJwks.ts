import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

/** The keys at an agent's address cannot be had now; nothing is known of what they signed. */
export class AgentKeysUnavailable extends Error {
  override readonly name = 'AgentKeysUnavailable';
}

export interface AgentJwksLimits {
  readonly timeoutMs: number;
  readonly largestBytes: number;
  /** How long an address is left alone after a fetch, good or bad, whoever sends what. */
  readonly cooldownMs: number;
  readonly cacheMs: number;
}

export const defaultLimits: AgentJwksLimits = {
  timeoutMs: 3_000,
  largestBytes: 65_536,
  cooldownMs: 10_000,
  cacheMs: 300_000,
};

/** Of so many addresses keys are remembered. */
const mostAddresses = 1_000;

/**
 * Keys of agents by the addresses that were approved for them (RFC 7517 §5). A set is fetched anew when a key is not in it, but
 * not before the cooldown is over, so that neither a stranger's tokens nor an address that is down make a flood of calls.
 * @returns for an address, what finds its keys; that throws AgentKeysUnavailable, or jose's errors for a key that is not there
 */
export function agentJwks(limits: AgentJwksLimits = defaultLimits): (jwksUri: string) => JWTVerifyGetKey {
  const known = new Map<string, JWTVerifyGetKey>();
  return (jwksUri) => {
    const found = known.get(jwksUri) ?? keysAt(jwksUri, limits);
    // The one that was used longest ago goes first.
    known.delete(jwksUri);
    known.set(jwksUri, found);
    const [oldest] = known.keys();
    if (known.size > mostAddresses && oldest !== undefined) known.delete(oldest);
    return found;
  };
}

function keysAt(jwksUri: string, limits: AgentJwksLimits): JWTVerifyGetKey {
  const getKey = createRemoteJWKSet(new URL(jwksUri), {
    timeoutDuration: limits.timeoutMs,
    cooldownDuration: limits.cooldownMs,
    cacheMaxAge: limits.cacheMs,
    [customFetch]: (url, options) => fetchBounded(url, options, limits.largestBytes),
  });
  let failure: { readonly atMs: number; readonly error: AgentKeysUnavailable } | undefined;
  return async (header, token) => {
    if (failure !== undefined && performance.now() - failure.atMs < limits.cooldownMs) throw failure.error;
    try {
      const key = await getKey(header, token);
      failure = undefined;
      return key;
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause;
      if (cause instanceof errors.JOSENotSupported) throw cause;
      const error = new AgentKeysUnavailable(`The keys at ${jwksUri} cannot be fetched.`, { cause });
      failure = { atMs: performance.now(), error };
      throw error;
    }
  };
}

/** @throws when it redirects, or is larger than it may be: nothing is read past that */
async function fetchBounded(url: string, options: RequestInit, largestBytes: number): Promise<Response> {
  const response = await fetch(url, { ...options, redirect: 'error' });
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (sizeBytes > largestBytes) throw new Error(`${url} answers more than ${largestBytes} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), {
    status: response.status,
    headers: { 'content-type': 'application/json' },
  });
}
