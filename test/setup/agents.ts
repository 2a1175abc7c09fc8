import { randomUUID } from 'node:crypto';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import { type AgentPolicy, type AgentRegistration, type PublicJwk, scopesOfPolicy } from '../../domain/agents.ts';
import { initialFlowState } from '../../domain/flow/state.ts';
import { idFromKey } from '../../domain/ids.ts';
import type { CredentialState, IdentityState } from '../../domain/states.ts';
import { oidcSubjectOf } from '../../ledger/agentKeys.ts';
import type { Ledger } from '../../ledger/client.ts';
import type { Prisma } from '../../prisma/generated/client.ts';

/** The key pair of an agent. */
export interface AgentKeyPair {
  readonly privateKey: CryptoKey;
  readonly publicKey: PublicJwk;
}

export async function newAgentKey(alg = 'ES256'): Promise<AgentKeyPair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, publicKey: { ...(await exportJWK(publicKey)) } as PublicJwk };
}

/** A `private_key_jwt` (RFC 7523) of this agent, good for one call; `claims` and `header` override everything. */
export function assertionOf(
  { identityId, key, audience }: { identityId: string; key: AgentKeyPair; audience: string },
  { claims = {}, header = {} }: { claims?: object; header?: Partial<JWTHeaderParameters> } = {},
): Promise<string> {
  const agent = `agent:${identityId}`;
  const now = Math.floor(Date.now() / 1000);
  const usual: JWTPayload = { iss: agent, sub: agent, aud: audience, iat: now, exp: now + 60, jti: randomUUID() };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: 'ES256', ...header }).sign(key.privateKey);
}

export const examplePolicy: AgentPolicy = {
  rules: [{ tool: 'search', actions: ['read', 'write'], resources: ['orders/*'], workspaces: ['payments'] }],
};

/**
 * An agent as its onboarding leaves it, put into the ledger past every flow: for tests that are not about onboarding. Needs
 * a flow in the ledger.
 */
export async function insertAgent(
  { prisma }: Pick<Ledger, 'prisma'>,
  {
    registration,
    policy = examplePolicy,
    name = `agent ${randomUUID()}`,
    owner = 'owner@example.com',
  }: { registration: AgentRegistration; policy?: AgentPolicy; name?: string; owner?: string },
): Promise<string> {
  const identityId = idFromKey('identity', { principal: 'a test', key: name });
  await insertIdentity({ prisma }, { id: identityId, name, policy, owner });
  await insertAgentKey({ prisma }, { identityId, version: 1, registration });
  return identityId;
}

async function insertIdentity(
  { prisma }: Pick<Ledger, 'prisma'>,
  { id, name, policy, owner }: { id: string; name: string; policy: AgentPolicy; owner: string },
): Promise<void> {
  await prisma.identity.create({
    data: {
      id,
      kind: 'agent',
      name,
      nameKey: name,
      environment: 'production',
      ownerId: owner,
      purpose: 'a test',
      scopes: [...scopesOfPolicy(policy)],
      integration: 'payments',
      labels: {},
      consumers: [],
      expiresAt: inAMonth(),
      issuer: 'agents',
      store: 'sealed',
      state: 'active',
      epoch: 1,
      agentPolicy: plain(policy),
    },
  });
}

/** A request that is over, by which this registration was asked for. */
async function insertRequest(
  { prisma }: Pick<Ledger, 'prisma'>,
  { identityId, registration }: { identityId: string; registration: AgentRegistration },
): Promise<string> {
  const { digest: flowDigest } = await prisma.flowVersion.findFirstOrThrow({ where: { operation: 'onboarding' } });
  const id = idFromKey('request', { principal: 'a test', key: randomUUID() });
  await prisma.request.create({
    data: {
      id,
      kind: 'onboarding',
      identityId,
      flowDigest,
      state: 'completed',
      trigger: 'person',
      requesterId: 'requester@example.com',
      requesterKind: 'person',
      registration: plain(registration),
      flowState: plain(initialFlowState(new Date().toISOString())),
      workflowId: `onboarding/${identityId}`,
      finishedAt: new Date(),
    },
  });
  return id;
}

/** A version of an agent's credential, brought to `state`, and its row at the issuer. */
export async function insertAgentKey(
  { prisma }: Pick<Ledger, 'prisma'>,
  {
    identityId,
    version,
    registration,
    state = 'current',
    validUntil = inAMonth(),
  }: {
    identityId: string;
    version: number;
    registration: AgentRegistration;
    state?: keyof typeof ways;
    validUntil?: Date;
  },
): Promise<void> {
  const handle = `${identityId}-v${version}`;
  const requestId = await insertRequest({ prisma }, { identityId, registration });
  await prisma.identity.update({ where: { id: identityId }, data: { highestVersion: version } });
  await prisma.credential.create({
    data: { handle, identityId, version, requestId, state: 'minting', leaseEndsAt: new Date(), expiresAt: validUntil },
  });
  for (const next of ways[state])
    await prisma.credential.update({ where: { handle }, data: { state: next, epoch: version } });
  await prisma.agentKey.create({
    data: {
      handle,
      issuer: 'agents',
      installationId: 'a test',
      identityId,
      version,
      registration: plain(registration),
      oidcSubject: oidcSubjectOf(registration),
      validUntil,
    },
  });
}

/** A credential whose request asks for this registration, in an empty ledger. */
export async function insertAsked(
  { prisma }: Pick<Ledger, 'prisma'>,
  { handle, registration }: { handle: string; registration: AgentRegistration },
): Promise<void> {
  const [identityId = '', version = ''] = handle.split('-v');
  const flow = { digest: 'a test', name: 'a test', operation: 'onboarding', canonical: '{}', source: '', author: '' };
  await prisma.flowVersion.createMany({ data: [flow], skipDuplicates: true });
  if ((await prisma.identity.findUnique({ where: { id: identityId } })) === null)
    await insertIdentity({ prisma }, { id: identityId, name: identityId, policy: examplePolicy, owner: 'owner' });
  const requestId = await insertRequest({ prisma }, { identityId, registration });
  await prisma.identity.update({ where: { id: identityId }, data: { highestVersion: Number(version) } });
  const credential = { handle, identityId, version: Number(version), requestId, leaseEndsAt: new Date() };
  await prisma.credential.create({ data: { ...credential, state: 'minting' } });
  // There may be one minting credential of an identity; what the issuer reads is the same in every state.
  await prisma.credential.update({ where: { handle }, data: { state: 'destroying' } });
}

const inAMonth = (): Date => new Date(Date.now() + 30 * 86_400_000);

function plain(value: object): Prisma.InputJsonObject {
  return JSON.parse(JSON.stringify(value));
}

const ways = {
  minting: [],
  current: ['staged', 'current'],
  retiring: ['staged', 'current', 'retiring'],
  destroying: ['destroying'],
} as const satisfies Partial<Record<CredentialState, readonly CredentialState[]>>;

/** The shortest way to a state that an agent's identity may end in. */
export async function moveIdentity(
  { prisma }: Pick<Ledger, 'prisma'>,
  id: string,
  states: readonly IdentityState[],
): Promise<void> {
  for (const state of states) await prisma.identity.update({ where: { id }, data: { state } });
}
