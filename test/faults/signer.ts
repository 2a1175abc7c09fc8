import type { Caller } from './caller.ts';
import { signerName } from './stageConfiguration.ts';
import { observer, RequestView } from './views.ts';

/** The identity that signs grants, and the request that made it. Neither is anybody's of the plan. */
export interface Signer {
  readonly identityId: string;
  readonly requestId: string;
}

/** Before anything breaks: without a signer, nothing is granted. */
export async function onboardSigner(calls: Caller): Promise<Signer> {
  const answer = await calls.write('requester', '/v1/identities', {
    kind: 'service-account',
    name: signerName,
    environment: 'staging',
    owner: 'owner@tenure.example',
    purpose: 'Signs grants',
    scopes: ['sign'],
    integration: 'tenure',
    consumers: ['system:grants'],
    expiresAt: new Date(Date.now() + 60 * 86_400_000).toISOString(),
    issuer: 'signing',
    store: 'sealed',
    justification: 'agents are to be granted something',
  });
  if (answer.status !== 202) throw new Error(`The signer was refused: ${answer.slug}: ${answer.detail}`);
  const { id, identityId } = RequestView.parse(answer.body);
  for (let query = ''; ; ) {
    const request = RequestView.parse((await calls.readSurely(observer, `/v1/requests/${id}${query}`)).body);
    if (request.state === 'completed') return { identityId, requestId: id };
    query = `?waitSeconds=1&afterSequence=${request.sequence}`;
  }
}
