import { setTimeout as wait } from 'node:timers/promises';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { z } from 'zod';
import { thumbprint } from '../../integrations/agent/agentTokens.ts';
import { agentPrincipal } from './agentWallets.ts';
import { isWithin, type Scene } from './checks.ts';
import { introspect } from './resourceServer.ts';
import type { GrantKept, Subject } from './story.ts';
import { type CredentialView, identityView } from './views.ts';

/** Exactly one of an agent's keys is accepted while it is active, and none after. */
export async function checkAgent(
  { calls, log }: Scene,
  subject: Subject,
  { state, credentials }: { state: string; credentials: readonly CredentialView[] },
): Promise<void> {
  const { life, wallet, identityId } = subject;
  const current = credentials.filter((credential) => credential.state === 'current').length;
  if (current !== (state === 'active' ? 1 : 0))
    log.violation(`${life.name} is ${state} and has ${current} current credentials`);
  const answers = [];
  for (const key of (wallet?.keys ?? []).keys())
    answers.push((await calls.readSurely(agentPrincipal(subject, key), `/v1/identities/${identityId}`)).status);
  const accepted = answers.filter((status) => status === 200).length;
  if (accepted !== current || answers.some((status) => status !== 200 && status !== 401))
    log.violation(`${life.name} is ${state}; its keys were answered ${answers.join(', ')}`);
}

const GrantView = z.object({ id: z.string(), stepUp: z.string(), issuedAt: z.iso.datetime() });
const Page = z.object({ items: z.array(GrantView) });

/** Every grant is of a step-up that was completed, one each, of no time when it could not be; its token is what it says. */
export async function checkGrants(scene: Scene): Promise<void> {
  const { calls, story, log } = scene;
  const keys = createLocalJWKSet((await calls.readSurely('auditor', '/.well-known/jwks.json')).body as JSONWebKeySet);
  for (const subject of story.subjects) {
    if (subject.wallet === undefined || subject.identityId === undefined) continue;
    const path = `/v1/identities/${subject.identityId}/grants?limit=200`;
    const { items } = Page.parse((await calls.readSurely('auditor', path)).body);
    const kept = [...story.grants.values()].filter((grant) => grant.subject === subject);
    for (const grant of items) checkIssued(scene, subject, grant);
    if (new Set(items.map(({ stepUp }) => stepUp)).size !== items.length)
      log.violation(`${subject.life.name}: a step-up was granted twice`);
    for (const grant of kept) {
      if (!items.some(({ stepUp }) => stepUp === grant.stepUpId))
        log.violation(`step-up ${grant.stepUpId} was answered with a grant that is not listed`);
      await checkToken(scene, grant, keys);
    }
  }
}

function checkIssued(
  { story, log }: Scene,
  { identityId, life, revocation }: Subject,
  { id, stepUp, issuedAt }: z.output<typeof GrantView>,
): void {
  if (!story.requests.has(stepUp)) log.violation(`grant ${id} is of step-up ${stepUp}, which nobody asked for`);
  const atMs = Date.parse(issuedAt);
  if (revocation?.answeredAtMs !== undefined && atMs > revocation.answeredAtMs)
    log.violation(`grant ${id} was given after the revocation of ${life.name} was answered`);
  for (const freeze of story.freezes)
    if (freeze.plan.integration === life.integration && isWithin(atMs, freeze, identityId))
      log.violation(`grant ${id} was given under freeze ${freeze.id}`);
}

async function checkToken(
  { calls, stage, log }: Scene,
  { accessToken, subject, stepUpId }: GrantKept,
  keys: ReturnType<typeof createLocalJWKSet>,
): Promise<void> {
  const { identityId = '', wallet } = subject;
  const agent = `agent:${identityId}`;
  const possession = wallet?.keys[0]?.possession;
  const verified = await jwtVerify(accessToken, keys, {
    issuer: stage.apiUrl,
    audience: 'https://search.example',
    subject: agent,
    typ: 'at+jwt',
  }).catch((error: unknown) => String(error));
  if (typeof verified === 'string')
    return log.violation(`the token of step-up ${stepUpId} does not verify: ${verified}`);
  const { cnf, scope, client_id: client } = verified.payload;
  const isBound = possession !== undefined && (cnf as { jkt?: string }).jkt === (await thumbprint(possession));
  if (!isBound || scope !== 'search:read' || client !== agent)
    log.violation(`the token of step-up ${stepUpId} says ${JSON.stringify(verified.payload)}`);
  const { state } = await identityView(calls, identityId);
  let isActive = await introspect(stage, { accessToken });
  for (; isActive === undefined; isActive = await introspect(stage, { accessToken })) await wait(200);
  if (isActive !== (state === 'active'))
    log.violation(`${agent} is ${state}, and the grant of step-up ${stepUpId} is ${isActive ? 'active' : 'inactive'}`);
}
