import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';

/** What an agent signs: who it is (RFC 7523), that a token is its own (RFC 9449), that it wants exactly this. Depends on `jose` alone. */

/** Two private keys (RFC 7517), each with its `alg`. They are never sent. */
export interface AgentKeys {
  /** Its public half is registered with the agent's identity. */
  readonly authentication: JWK;
  /** Grants are bound to it: its public half goes with each proof. */
  readonly possession: JWK;
}

/** New keys for ES256 (RFC 7518 §3.4). */
export async function newAgentKeys(): Promise<AgentKeys> {
  const [authentication, possession] = await Promise.all([newKey(), newKey()]);
  return { authentication, possession };
}

async function newKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return { ...(await exportJWK(privateKey)), alg: 'ES256' };
}

/** The public half, as it is registered. @throws TypeError for what is no key on an elliptic curve */
export function publicHalf({ kty, crv, x, y, alg }: JWK): Record<string, string> {
  if (kty !== 'EC' || crv === undefined || x === undefined || y === undefined)
    throw new TypeError('This is no JWK of a key on an elliptic curve, as newAgentKeys() makes it.');
  return { kty, crv, x, y, ...(alg === undefined ? {} : { alg }) };
}

/** RFC 7638: what a grant's `cnf.jkt` must be. */
export function thumbprint(key: JWK): Promise<string> {
  return calculateJwkThumbprint(publicHalf(key));
}

const assertionSeconds = 60;

/**
 * `private_key_jwt` (RFC 7523 §3): sent as `Authorization: Bearer …`. Good for one call within a minute.
 * @param audience the installation's `publicUrl`
 */
export async function agentAssertion({
  agentId,
  audience,
  keys,
}: {
  agentId: string;
  audience: string;
  keys: AgentKeys;
}): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: algorithmOf(keys.authentication) })
    .setIssuer(agentId)
    .setSubject(agentId)
    .setAudience(audience)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(`${assertionSeconds}s`)
    .sign(await importJWK(keys.authentication));
}

/**
 * A DPoP proof (RFC 9449 §4.2): sent as the header `DPoP` of exactly this call, once.
 * @param url without query and fragment
 * @param accessToken the grant that goes with it; left out where there is none yet
 */
export async function dpopProof({
  method,
  url,
  accessToken,
  keys,
}: {
  method: string;
  url: string;
  accessToken?: string;
  keys: AgentKeys;
}): Promise<string> {
  const { alg, ...jwk } = publicHalf(keys.possession);
  const ath =
    accessToken === undefined ? {} : { ath: createHash('sha256').update(accessToken, 'ascii').digest('base64url') };
  return new SignJWT({ htm: method, htu: url, ...ath })
    .setProtectedHeader({ alg: alg ?? algorithmOf(keys.possession), typ: 'dpop+jwt', jwk })
    .setJti(randomUUID())
    .setIssuedAt()
    .sign(await importJWK(keys.possession));
}

/** The agent's own confirmation of a request: the digest that it was shown, signed with the key that it authenticates with. */
export async function agentConfirmation({
  agentId,
  audience,
  digest,
  keys,
}: {
  agentId: string;
  audience: string;
  digest: string;
  keys: AgentKeys;
}): Promise<string> {
  return new SignJWT({ nonce: digest })
    .setProtectedHeader({ alg: algorithmOf(keys.authentication), typ: 'tenure-proof+jwt' })
    .setIssuer(agentId)
    .setAudience(audience)
    .setJti(randomUUID())
    .setIssuedAt()
    .sign(await importJWK(keys.authentication));
}

function algorithmOf({ alg }: JWK): string {
  if (alg === undefined) throw new TypeError('The key does not say its algorithm (alg).');
  return alg;
}
