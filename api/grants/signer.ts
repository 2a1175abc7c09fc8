import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, SignJWT } from 'jose';
import type { Configuration } from '../../configuration/configurationSchema.ts';
import { type GrantClaims, signerPrincipal } from '../../domain/grantClaims.ts';
import type { Ledger } from '../../ledger/client.ts';
import { findSigner, listPublishedKeys } from '../../ledger/grantSigner.ts';
import { handleOf } from '../../ledger/queries/identities.ts';
import { mayStillServe, recordSecretAccess } from '../../ledger/secretAccess.ts';
import { type PublicSigningKey, type SigningAlgorithm, signingAlgorithms } from '../../ledger/signingKeys.ts';
import { readLive } from '../liveSecret.ts';
import type { SecretSource } from '../ports.ts';
import { Problem } from '../problem.ts';

/** Makes grants' tokens and publishes what they are verified with. */
export interface GrantSigner {
  /** An access token (RFC 9068). @throws Problem `no-signer`, `store-unavailable` */
  sign(claims: GrantClaims): Promise<string>;
  /** RFC 7517; no keys while there is no signer. */
  jwks(): Promise<{ keys: PublishedJwk[] }>;
  /** Before a grant is asked for: one could be signed now, as far as the ledger knows. @throws Problem `no-signer` */
  requireSigner(): Promise<void>;
}

export type PublishedJwk = PublicSigningKey & {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly use: 'sig';
};

interface HeldKey {
  readonly handle: string;
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly privateKey: KeyObject;
}

/**
 * The signer is an identity of Tenure's own, whose credential signs. Which of its credentials that is, the ledger is asked
 * each time; the private key is read from the store once for each, with its evidence, and kept in memory.
 */
export function grantSigner({
  configuration: { grants },
  ledger,
  secrets,
}: {
  configuration: Pick<Configuration, 'grants'>;
  ledger: Ledger;
  secrets: SecretSource;
}): GrantSigner {
  let held: HeldKey | undefined;

  async function requireStanding(): Promise<{ identityId: string; handle: string }> {
    const { signer } = grants;
    if (signer === undefined)
      throw noSigner('tenure.yaml names no signer. An administrator declares one under "grants".');
    const standing = await findSigner(ledger.prisma, signer);
    const who = `The signer ${signer.name} of environment ${signer.environment}`;
    if (standing === undefined) throw noSigner(`${who} is no active identity. Onboard it (docs/grants.md).`);
    const { identityId, isFrozen, handle } = standing;
    if (isFrozen) throw noSigner(`${who} is frozen. A responder lifts the freeze.`);
    if (handle === null) throw noSigner(`${who} has no signing key yet. Wait until its request is completed.`);
    return { identityId, handle };
  }

  async function readKey(identityId: string): Promise<HeldKey> {
    const access = await recordSecretAccess(ledger, { identityId, consumer: signerPrincipal });
    if (!access.allowed) throw noSigner(access.detail);
    const live = await readLive(secrets, access.store, identityId);
    if (live?.kind !== 'value') throw noSigner(`The store of signer ${identityId} serves nothing now.`);
    const { version, value } = live;
    const still = await mayStillServe(ledger, { identityId, version });
    if (!still.allowed) throw noSigner(still.detail);
    const handle = await handleOf(ledger.prisma, { identityId, version });
    if (handle === undefined) throw noSigner(`The ledger does not know version ${version} of signer ${identityId}.`);
    const privateKey = createPrivateKey(value);
    const publicKey = createPublicKey(privateKey);
    const alg = publicKey.asymmetricKeyType === 'rsa' ? signingAlgorithms.RSA : signingAlgorithms.EC;
    return { handle, privateKey, alg, kid: await calculateJwkThumbprint(publicKey) };
  }

  async function requireKey(): Promise<HeldKey> {
    const { identityId, handle } = await requireStanding();
    // The store may be a promote ahead of what the ledger knows of it: then this is read again until both say the same.
    if (held?.handle !== handle) held = await readKey(identityId);
    return held;
  }

  return {
    async sign(claims) {
      const { kid, alg, privateKey } = await requireKey();
      return new SignJWT({ ...claims }).setProtectedHeader({ alg, typ: 'at+jwt', kid }).sign(privateKey);
    },
    async jwks() {
      const { signer } = grants;
      const published = signer === undefined ? [] : await listPublishedKeys(ledger.prisma, signer);
      return {
        keys: published.map(({ kid, publicKey }) => ({
          ...publicKey,
          ...{ kid, alg: signingAlgorithms[publicKey.kty], use: 'sig' as const },
        })),
      };
    },
    requireSigner: async () => void (await requireStanding()),
  };
}

function noSigner(because: string): Problem {
  return new Problem('no-signer', `Grants cannot be signed now. ${because}`, { headers: { 'Retry-After': '5' } });
}
