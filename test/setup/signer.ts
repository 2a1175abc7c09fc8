import { createSigningKeyIssuer } from '../../activities/issuers/signingKey.ts';
import { initialFlowState } from '../../domain/flow/state.ts';
import { signerPrincipal } from '../../domain/grantClaims.ts';
import { idFromKey } from '../../domain/ids.ts';
import type { OpenedLedger } from '../../ledger/openLedger.ts';
import type { SigningAlgorithm } from '../../ledger/signingKeys.ts';

/** How every test installation names it in tenure.yaml. */
export const signerName = { name: 'grant-signer', environment: 'production' } as const;

export interface InsertedSigner {
  readonly identityId: string;
  /** What its store is to serve, under epoch 1. */
  readonly version: number;
  readonly privateKey: string;
}

/**
 * The signer as its onboarding leaves it, put into the ledger past every flow: for tests that are not about onboarding. The
 * key is made by the real issuer; `serve` puts it where the API's store reads it. Needs a flow in the ledger.
 */
export async function insertSigner(
  { prisma, installation }: Pick<OpenedLedger, 'prisma' | 'installation'>,
  serve: (signer: InsertedSigner) => Promise<unknown>,
  algorithm?: SigningAlgorithm,
): Promise<InsertedSigner> {
  const { name, environment } = signerName;
  const identityId = idFromKey('identity', { principal: 'a test', key: name });
  const requestId = idFromKey('request', { principal: 'a test', key: name });
  const handle = `${identityId}-v1`;
  const expiresAt = new Date(Date.now() + 30 * 86_400_000);
  const { digest: flowDigest } = await prisma.flowVersion.findFirstOrThrow({ where: { operation: 'onboarding' } });
  await prisma.identity.create({
    data: {
      ...{ id: identityId, name, nameKey: name, environment, expiresAt },
      ...{ kind: 'service-account', ownerId: 'owner@example.com', purpose: 'signs grants', scopes: ['sign'] },
      ...{ integration: 'tenure', labels: {}, consumers: [signerPrincipal], issuer: 'signing', store: 'sealed' },
      ...{ state: 'active', epoch: 1, highestVersion: 1 },
    },
  });
  const at = new Date();
  await prisma.request.create({
    data: {
      ...{ id: requestId, kind: 'onboarding', identityId, flowDigest, state: 'completed', trigger: 'person' },
      ...{ requesterId: 'requester@example.com', requesterKind: 'person', workflowId: `onboarding/${identityId}` },
      flowState: JSON.parse(JSON.stringify(initialFlowState(at.toISOString()))),
      finishedAt: at,
    },
  });
  const issuer = createSigningKeyIssuer('signing', {
    ...{ prisma, installationId: installation.id },
    ...(algorithm === undefined ? {} : { algorithm }),
  });
  const privateKey = await issuer.generateSecret({ handle });
  await issuer.create({ handle, identityId, secret: privateKey, scopes: ['sign'], validUntil: expiresAt });
  const signer = { identityId, version: 1, privateKey };
  await serve(signer);
  await prisma.credential.create({
    data: { ...{ handle, identityId, version: 1, requestId, state: 'minting', expiresAt }, leaseEndsAt: at },
  });
  await prisma.credential.update({ where: { handle }, data: { state: 'staged' } });
  await prisma.credential.update({
    where: { handle },
    data: { state: 'current', epoch: 1, promotedEpoch: 1, committedAt: at, promotedAt: at },
  });
  return signer;
}
