import { z } from 'zod';
import { StoreRefused, StoreUnavailable } from './storeErrors.ts';
import { askVault, type VaultAnswer, type VaultEndpoint, type VaultRequest } from './vaultHttp.ts';

export interface VaultSessionOptions extends VaultEndpoint {
  readonly namespace?: string | undefined;
  readonly approle: {
    readonly mount: string;
    readonly roleId: string;
    /** Asked for at each login, so that a rotated one is taken up. */
    readonly secretId: () => string;
  };
}

/** Requests under Tenure's own token, which is renewed and replaced as needed and shown to nobody. */
export interface VaultSession {
  /**
   * The answers that callers can tell apart: 2xx, 400 and 404 are returned.
   * @throws StoreRefused for what Vault will refuse again; StoreUnavailable for everything whose outcome is unknown
   */
  ask(order: VaultRequest): Promise<VaultAnswer>;
  /** Revokes the token. A session can be used again after it, by another login. */
  close(): Promise<void>;
}

const Login = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number().nonnegative(), renewable: z.boolean() }),
});

interface Token {
  readonly value: string;
  readonly renewable: boolean;
  /** How long a fresh login lasts: a renewal that gives much less nears the role's maximum. */
  readonly loginSeconds: number;
  /** On the monotonic clock of `performance.now()`. */
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

export function vaultSession(store: string, options: VaultSessionOptions): VaultSession {
  const { namespace, approle } = options;
  let token: Token | undefined;
  let refreshing: Promise<Token> | undefined;

  async function send(order: VaultRequest, tokenValue?: string): Promise<VaultAnswer> {
    const headers = {
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
      ...(tokenValue === undefined ? {} : { 'x-vault-token': tokenValue }),
    };
    try {
      return await askVault(options, { ...order, headers });
    } catch (cause) {
      throw new StoreUnavailable(store, reasonOf(cause), { cause });
    }
  }

  async function logIn(): Promise<Token> {
    const askedAtMs = performance.now();
    const path = `auth/${encodePath(approle.mount)}/login`;
    const body = { role_id: approle.roleId, secret_id: approle.secretId() };
    const answer = await send({ method: 'POST', path, body });
    if (answer.status === 400 || answer.status === 404)
      throw new StoreRefused(
        store,
        `Vault refused the AppRole login at ${path} (${answer.status}); check role id, secret id, mount and namespace`,
      );
    const { auth } = understood(Login, expectAnswer(answer, { method: 'POST', path }));
    return tokenOf(auth, { askedAtMs, loginSeconds: auth.lease_duration });
  }

  /** @returns undefined when Vault no longer renews this token, or only for what is left of its maximum */
  async function renew(old: Token): Promise<Token | undefined> {
    const askedAtMs = performance.now();
    const answer = await send({ method: 'POST', path: 'auth/token/renew-self', body: {} }, old.value);
    if (answer.status === 400 || answer.status === 403) return undefined;
    const { auth } = understood(Login, expectAnswer(answer, { method: 'POST', path: 'auth/token/renew-self' }));
    return auth.lease_duration * 2 < old.loginSeconds
      ? undefined
      : tokenOf(auth, { askedAtMs, loginSeconds: old.loginSeconds });
  }

  async function freshToken(): Promise<Token> {
    const now = performance.now();
    if (token !== undefined && now < token.renewAtMs) return token;
    const old = token;
    // Calls at once share one login: secret ids may be limited in their uses.
    refreshing ??= (async () => {
      const renewed = old?.renewable && now < old.expiresAtMs ? await renew(old) : undefined;
      token = renewed ?? (await logIn());
      return token;
    })().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  function understood<T>(schema: z.ZodType<T>, answer: VaultAnswer): T {
    const parsed = schema.safeParse(answer.body);
    if (!parsed.success)
      throw new StoreUnavailable(
        store,
        'Vault gave an answer of another form than its API describes; is something else at this address?',
      );
    return parsed.data;
  }

  /** Our own words for each status: what a server says may repeat what it was sent. */
  function expectAnswer(answer: VaultAnswer, { method, path }: Pick<VaultRequest, 'method' | 'path'>): VaultAnswer {
    const { status } = answer;
    if ((status >= 200 && status < 300) || status === 400 || status === 404) return answer;
    if (status === 403)
      throw new StoreRefused(
        store,
        `Vault does not allow Tenure's AppRole to ${method} ${path} (403); extend its policy`,
      );
    if (status === 405 || status === 413)
      throw new StoreRefused(store, `Vault does not take ${method} ${path} (${status})`);
    const why =
      status >= 300 && status < 400
        ? 'redirected, which is not followed: name the active node or a load balancer'
        : status === 429
          ? 'limits the rate of requests'
          : status === 503
            ? 'is sealed or down'
            : 'failed';
    throw new StoreUnavailable(store, `Vault ${why} (${status} to ${method} ${path})`);
  }

  return {
    async ask(order) {
      const used = await freshToken();
      const answer = await send(order, used.value);
      if (answer.status !== 403) return expectAnswer(answer, order);
      // The token may have been revoked, or Vault restored from a backup that does not know it. One new login decides.
      if (token === used) token = undefined;
      const { value } = await freshToken();
      return expectAnswer(await send(order, value), order);
    },

    async close() {
      const old = token;
      token = undefined;
      if (old === undefined || performance.now() >= old.expiresAtMs) return;
      const order = { method: 'POST', path: 'auth/token/revoke-self' } as const;
      const answer = await send(order, old.value);
      // 403: Vault knows the token no more, which is what was asked for.
      if (answer.status !== 403) expectAnswer(answer, order);
    },
  };
}

function tokenOf(
  auth: z.output<typeof Login>['auth'],
  { askedAtMs, loginSeconds }: { askedAtMs: number; loginSeconds: number },
): Token {
  // Vault's "0 seconds" means that the token never expires.
  const lifeMs = auth.lease_duration === 0 ? Infinity : auth.lease_duration * 1000;
  return {
    value: auth.client_token,
    renewable: auth.renewable,
    loginSeconds,
    renewAtMs: askedAtMs + (lifeMs * 2) / 3,
    expiresAtMs: askedAtMs + lifeMs,
  };
}

/**
 * Encodes each segment, so that no name can leave its place in the path.
 * @throws TypeError for the segments `.` and `..`, which URLs resolve even when they are encoded
 */
export function encodePath(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..'))
    throw new TypeError(`"${path}" is no path in Vault: remove the segments "." and "..".`);
  return segments.map(encodeURIComponent).join('/');
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'no answer arrived';
  if (cause.name === 'TimeoutError') return 'no answer arrived in time';
  if (cause.message !== '') return cause.message;
  return 'code' in cause ? String(cause.code) : cause.name;
}
