import { isRecord } from './dpopProof.ts';
import { CheckUnavailable } from './grant.ts';

const timeoutMs = 5_000;

export interface IntrospectionClient {
  /**
   * Whether the grant stands at this moment (RFC 7662). Never cached: a freeze or a revocation counts from the next call on.
   * @throws CheckUnavailable when the issuer does not say it in time
   */
  isActive(token: string): Promise<boolean>;
}

/** @param bearer what this server authenticates with at the issuer, asked for at each call */
export function introspectionClient({
  issuer,
  bearer,
}: {
  issuer: string;
  bearer: () => string | Promise<string>;
}): IntrospectionClient {
  const address = `${issuer.replace(/\/$/, '')}/oauth/introspect`;
  return {
    async isActive(token) {
      const answer = await asked(address, token, bearer);
      if (!isRecord(answer) || typeof answer['active'] !== 'boolean')
        throw new CheckUnavailable(`${address} answered with something else than an introspection (RFC 7662).`);
      return answer['active'];
    },
  };
}

async function asked(address: string, token: string, bearer: () => string | Promise<string>): Promise<unknown> {
  try {
    const response = await fetch(address, {
      method: 'POST',
      headers: { Accept: 'application/json', Authorization: `Bearer ${await bearer()}` },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
      // A redirect would carry the token to wherever it points.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 200) return await response.json();
    await response.body?.cancel();
    throw new Error(`${address} answered ${response.status}`);
  } catch (cause) {
    throw new CheckUnavailable('The issuer of grants does not say whether this one still stands.', { cause });
  }
}
