import { createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type JWTVerifyGetKey } from 'jose';
import { isOfSmallOrder } from '../../domain/ed25519.ts';
import { fetchJson } from './boundedFetch.ts';
import { isOnLoopback } from './publicAddresses.ts';

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
 * not before the cooldown is over, so that neither a stranger's tokens nor an address that is down make a flood of calls; and
 * what is known of it counts on meanwhile, so that neither locks out who has a good key.
 * @param publicUrl of this installation: on the loopback, addresses of its network may be called too
 * @returns for an address, what finds its keys; that throws AgentKeysUnavailable, or jose's errors for a key that is not there
 */
export function agentJwks({
  publicUrl,
  now,
  limits = defaultLimits,
}: {
  publicUrl: string;
  now: () => Date;
  limits?: AgentJwksLimits;
}): (jwksUri: string) => JWTVerifyGetKey {
  const known = new Map<string, JWTVerifyGetKey>();
  const isPublicOnly = !isOnLoopback(publicUrl);
  return (jwksUri) => {
    const found =
      known.get(jwksUri) ??
      keysOf({
        jwksUri,
        nowMs: () => now().getTime(),
        ...limits,
        fetchSet: () => fetchJson(jwksUri, { ...limits, isPublicOnly }),
      });
    // The one that was used longest ago goes first.
    known.delete(jwksUri);
    known.set(jwksUri, found);
    const [oldest] = known.keys();
    if (known.size > mostAddresses && oldest !== undefined) known.delete(oldest);
    return found;
  };
}

interface KeysAt extends Pick<AgentJwksLimits, 'cooldownMs' | 'cacheMs'> {
  readonly jwksUri: string;
  readonly nowMs: () => number;
  readonly fetchSet: () => Promise<unknown>;
}

function keysOf({ jwksUri, nowMs, fetchSet, cooldownMs, cacheMs }: KeysAt): JWTVerifyGetKey {
  let known: { readonly keyOf: LocalKeys; readonly untilMs: number } | undefined;
  let failure: AgentKeysUnavailable | undefined;
  let leftAloneUntilMs = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;

  const unavailable = (cause: unknown) =>
    new AgentKeysUnavailable(`The keys at ${jwksUri} cannot be fetched.`, { cause });

  async function fetchOnce(): Promise<void> {
    try {
      const keyOf = createLocalJWKSet(withoutWeakKeys((await fetchSet()) as JSONWebKeySet));
      known = { keyOf, untilMs: nowMs() + cacheMs };
      failure = undefined;
    } catch (cause) {
      failure = unavailable(cause);
    }
    leftAloneUntilMs = nowMs() + cooldownMs;
  }

  /** Whoever comes meanwhile waits for the same answer. */
  async function refresh(): Promise<void> {
    if (fetching === undefined && nowMs() < leftAloneUntilMs) return;
    fetching ??= fetchOnce().finally(() => {
      fetching = undefined;
    });
    await fetching;
  }

  const fresh = (): LocalKeys | undefined => (known !== undefined && nowMs() < known.untilMs ? known.keyOf : undefined);

  async function keyNow(...asked: Parameters<JWTVerifyGetKey>): ReturnType<LocalKeys> {
    const keyOf = fresh();
    if (keyOf === undefined) throw failure ?? unavailable(undefined);
    try {
      return await keyOf(...asked);
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause;
      if (cause instanceof errors.JOSENotSupported) throw cause;
      throw unavailable(cause);
    }
  }

  return async (...asked) => {
    if (fresh() === undefined) await refresh();
    try {
      return await keyNow(...asked);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    }
    // It may be newer than what is known; where nothing newer can be had, it is no key of the agent.
    await refresh();
    return keyNow(...asked);
  };
}

/** Under a point of small order anybody can sign; a set is not looked at by people, as a single key is when it is registered. */
function withoutWeakKeys(set: JSONWebKeySet): JSONWebKeySet {
  if (!Array.isArray(set?.keys)) return set; // jose says what is wrong with it
  const isWeak = ({ crv, x }: JWK): boolean =>
    crv === 'Ed25519' && typeof x === 'string' && isOfSmallOrder(Buffer.from(x, 'base64url'));
  return { ...set, keys: set.keys.filter((key) => !isWeak(key ?? {})) };
}

type LocalKeys = ReturnType<typeof createLocalJWKSet>;
