import { z } from 'zod';
import { grantClaims } from '../../domain/grantClaims.ts';
import type { SigningAlgorithm } from '../../ledger/signingKeys.ts';
import { assertionOf, insertAgent, newAgentKey } from '../setup/agents.ts';
import { insertGrant } from '../setup/grants.ts';
import { insertSigner } from '../setup/signer.ts';
import { type Answer, type ApiFixture, answerOf, apiFixture, emailOf } from './apiFixture.ts';

/** An API whose signer signs, and an agent that has what it needs to be granted something. */
export async function grantedAgent({
  algorithm,
  ...options
}: NonNullable<Parameters<typeof apiFixture>[0]> & { algorithm?: SigningAlgorithm } = {}) {
  const api = await apiFixture(options);
  const signer = await insertSigner(
    api.ledger,
    async ({ identityId, version, privateKey }) =>
      api.store.values.set(identityId, { kind: 'value', epoch: 1, version, value: privateKey }),
    algorithm,
  );
  const key = await newAgentKey();
  const owner = emailOf('owner');
  const identityId = await insertAgent(api.ledger, { registration: { publicKey: key.publicKey }, owner });
  return {
    api,
    signer,
    identityId,
    key,
    asAgent: () => assertionOf({ identityId, key, audience: api.publicUrl }),
    /** A grant of this agent, unless another is named, with a token of it. */
    async granted(options: Partial<Parameters<typeof insertGrant>[1]> = {}) {
      const grant = await insertGrant(api.ledger, { identityId, ...options });
      return { grant, token: await api.grantSigner.sign(grantClaims(grant, api.publicUrl)) };
    },
    /** As the resource server of `search` sees it, unless another is named. */
    async introspect(token: string, server: ResourceServer = 'search-server') {
      return (await postForm(api, await serverToken(api, server), '/oauth/introspect', { token })).as(Introspection);
    },
  };
}

export type GrantedAgent = Awaited<ReturnType<typeof grantedAgent>>;

const Introspection = z.looseObject({ active: z.boolean() });

const repositories = { 'search-server': '2', 'mail-server': '3', deploy: '1' } as const;
export type ResourceServer = keyof typeof repositories;

export function serverToken(api: ApiFixture, server: ResourceServer): Promise<string> {
  return api.pipelineToken({ repository_id: repositories[server] });
}

/** As a client of OAuth 2.0 sends it: a form, and no Idempotency-Key. */
export async function postForm(
  { address }: ApiFixture,
  bearer: string,
  path: string,
  parameters: Record<string, string> | string,
): Promise<Answer> {
  return answerOf(
    await fetch(`${address}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(parameters).toString(),
    }),
  );
}
