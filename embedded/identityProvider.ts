import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import Provider, { type Adapter, type JWKS } from 'oidc-provider';
import { z } from 'zod';
import { claimsOf, localGrantType, registerLocalGrant, tokenSeconds } from './localGrant.ts';
import { keptSecret, privateDirectory, writePrivateFile } from './privateFiles.ts';

const clientId = 'tenure-cli';

export interface IdentityProvider {
  /** The `iss` of its tokens; `/.well-known/openid-configuration` below it names the rest. */
  readonly issuer: string;
  /** Everything that `tenure token` needs, as kept in the 0600 file `sign-in.json`. Holds the client secret. */
  readonly signIn: { tokenEndpoint: string; clientId: string; clientSecret: string; grantType: string };
  /** Stops listening and ends open connections. Tokens stay valid: they are signed, and the keys are kept. */
  stop(): Promise<void>;
}

const Jwks = z.looseObject({ keys: z.array(z.looseObject({ kty: z.literal('RSA'), d: z.string() })).min(1) });

/**
 * The embedded sign-in: an OpenID provider on 127.0.0.1 for development and tests, whose access tokens are JWTs (RFC 9068).
 * Its keys and client secret live in `stateDirectory` (0600) and outlive restarts; nothing else does, since its only grant
 * hands out self-contained tokens. It answers under its own host names only, so that no web page can reach it by pointing
 * a name of its own at the loopback (DNS rebinding).
 */
export async function startIdentityProvider({
  stateDirectory,
  port,
}: {
  stateDirectory: string;
  port: number;
}): Promise<IdentityProvider> {
  privateDirectory(join(stateDirectory, 'sign-in'));
  const secret = (file: string) =>
    keptSecret(join(stateDirectory, 'sign-in', file), () => randomBytes(32).toString('base64url'));
  const issuer = `http://127.0.0.1:${port}`;
  const clientSecret = secret('client-secret');
  const provider = new Provider(issuer, {
    adapter: KeepsNothing,
    jwks: signingKeys(join(stateDirectory, 'sign-in', 'jwks.json')),
    cookies: { keys: [secret('cookie-secret')] },
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        grant_types: [localGrantType],
        response_types: [],
        redirect_uris: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    features: { devInteractions: { enabled: false }, resourceIndicators: { enabled: true } },
    ttl: { AccessToken: tokenSeconds },
    extraTokenClaims: (ctx) => claimsOf(ctx),
  });
  registerLocalGrant(provider);

  const answer = provider.callback();
  const hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
  const server = createServer((req, res) => {
    if (req.headers.host !== undefined && hosts.has(req.headers.host)) {
      void answer(req, res);
      return;
    }
    // RFC 9110 §15.5.20: this server does not answer for that host.
    res.writeHead(421, { 'content-type': 'text/plain' }).end('This sign-in answers on the loopback only.\n');
  });
  await listen(server, port);

  const signIn = { tokenEndpoint: `${issuer}/token`, clientId, clientSecret, grantType: localGrantType };
  writePrivateFile(join(stateDirectory, 'sign-in.json'), `${JSON.stringify(signIn, null, 2)}\n`);
  return {
    issuer,
    signIn,
    stop: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** An access token of the embedded sign-in, as `tenure token` gets it. @throws Error with the provider's own words */
export async function requestToken(
  { signIn }: IdentityProvider,
  asked: { person: string; for_agents?: 'true' } | { pipeline: string; triggered_by?: string },
): Promise<string> {
  const answer = await fetch(signIn.tokenEndpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${signIn.clientId}:${signIn.clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: signIn.grantType, ...asked }),
  });
  const body = z
    .object({ access_token: z.string() })
    .or(z.object({ error_description: z.string() }))
    .parse(await answer.json());
  if ('access_token' in body) return body.access_token;
  throw new Error(body.error_description);
}

/** A signed token needs no record. A grant that wants one must bring storage, and fails here until it does. */
class KeepsNothing implements Adapter {
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  upsert(): Promise<never> {
    return Promise.reject(new Error(`The embedded sign-in keeps no ${this.#model}.`));
  }

  async find(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

function signingKeys(path: string): JWKS {
  const kept = keptSecret(path, () => {
    // RFC 9068 §2.1: RS256 is what every verifier must support.
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = {
      ...privateKey.export({ format: 'jwk' }),
      use: 'sig',
      alg: 'RS256',
      kid: randomBytes(8).toString('hex'),
    };
    return JSON.stringify({ keys: [key] });
  });
  return Jwks.parse(JSON.parse(kept)) as JWKS;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}
