import { join } from 'node:path';
import pg from 'pg';
import { loadKeys } from '../../configuration/keys.ts';
import { keyedId } from '../../domain/ids.ts';
import { checkAgent, checkGrants } from './agentChecks.ts';
import { checkAnswers, checkRequests } from './answers.ts';
import { keepUnsure } from './asking.ts';
import type { Caller } from './caller.ts';
import { login, look } from './consumers.ts';
import type { EventLog } from './eventLog.ts';
import { checkEvidence, checkSecrets } from './evidenceChecks.ts';
import { checkMassRevocations } from './massRevocationChecks.ts';
import type { Servers } from './servers.ts';
import type { Signer } from './signer.ts';
import type { Stage } from './stage.ts';
import type { FreezeKept, Story, Subject } from './story.ts';
import {
  type CredentialView,
  credentialsOf,
  FindingView,
  IdentityView,
  identityView,
  listAll,
  RequestView,
} from './views.ts';

/** What the checks look at, and whom they tell. */
export interface Scene {
  readonly servers: Servers;
  readonly stage: Stage;
  readonly calls: Caller;
  readonly story: Story;
  readonly log: EventLog;
  readonly signer: Signer;
}

/** Holds the quiet system to every promise, from outside. What breaks one is told to the log. */
export async function checkAll(scene: Scene, heldCheckpoint: string | undefined): Promise<void> {
  const requests = await listAll(scene.calls, '/v1/requests', RequestView);
  const { personPseudonym } = loadKeys(join(scene.stage.directory, 'keys'), { create: false });
  keepUnsure({ ...scene, idOf: (call) => keyedId(personPseudonym, 'request', call) }, requests);
  const known = await credentialsByIdentity(scene);
  await checkInventory(scene, known);
  await checkGrants(scene);
  for (const subject of scene.story.subjects) await checkSubject(scene, subject, known);
  await checkFindings(scene);
  checkRequests(scene, requests);
  await checkAnswers(scene, requests);
  const { lines, entries } = await checkEvidence(scene, requests, heldCheckpoint);
  await checkMassRevocations(scene, entries);
  checkSecrets(scene, lines);
}

type Known = ReadonlyMap<string, readonly CredentialView[]>;

async function credentialsByIdentity({ calls, story, log, signer }: Scene): Promise<Known> {
  const identities = await listAll(calls, '/v1/identities', IdentityView);
  const asked = new Set([signer.identityId, ...story.subjects.map(({ identityId }) => identityId)]);
  for (const { id, name } of identities)
    if (!asked.has(id)) log.violation(`identity ${id} ("${name}") exists, and nobody was answered with it`);
  const known = new Map<string, readonly CredentialView[]>();
  for (const { id } of identities) known.set(id, await credentialsOf(calls, id));
  return known;
}

/** No orphan: a login at the issuer is a live credential, and a live credential is a login there. */
async function checkInventory({ servers, story, log }: Scene, known: Known): Promise<void> {
  const client = new pg.Client({ connectionString: servers.issuer.url('app') });
  await client.connect();
  const { rows } = await client.query<{ rolname: string; rolcanlogin: boolean; tag: string | null }>(
    `SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') AS tag FROM pg_roles
     WHERE rolname ~ '^tenure_[a-z2-7]{26}' OR shobj_description(oid, 'pg_authid') LIKE 'tenure:%'`,
  );
  await client.end();
  const accounts = story.subjects.filter(({ life }) => life.kind === 'service-account');
  const ofAccounts = accounts.map(({ identityId = '' }) => known.get(identityId) ?? []);
  const live = ofAccounts.flat().filter(({ state }) => state !== 'destroyed');
  const logins = new Set(live.map(({ handle }) => `tenure_${handle.replace('-v', '_v')}`));
  const owners = new Set(live.map(({ handle }) => `tenure_${handle.slice(0, handle.indexOf('-v'))}`));
  for (const { rolname, rolcanlogin, tag } of rows) {
    if (tag === null) log.violation(`role ${rolname} at the issuer has lost its tag`);
    if (rolcanlogin && !logins.delete(rolname)) log.violation(`orphan: login ${rolname} is at the issuer`);
    if (!rolcanlogin && !owners.has(rolname))
      log.violation(`orphan: role ${rolname} is at the issuer and owns for nobody`);
  }
  for (const missing of logins) log.violation(`${missing} is live by the API, and not at the issuer`);
}

/** What Tenure's own comparison of issuers and stores with the ledger found on the way, and could not mend. */
async function checkFindings({ calls, log }: Scene): Promise<void> {
  for (const finding of await listAll(calls, '/v1/reconciliations/findings', FindingView)) {
    log.count(`finding ${finding.state}: ${finding.part} ${finding.kind}`);
    if (finding.state === 'open') log.violation(`the reconciler found: ${JSON.stringify(finding)}`);
  }
}

async function checkSubject(scene: Scene, subject: Subject, known: Known): Promise<void> {
  const { calls, log } = scene;
  const { identityId, life, revocation } = subject;
  if (identityId === undefined) return;
  const identity = await identityView(calls, identityId);
  const credentials = known.get(identityId) ?? [];
  const wanted = revocation?.answeredAtMs === undefined ? (subject.isOnboarded ? 'active' : 'rejected') : undefined;
  const ended = ['revoked', 'rejected'];
  if (wanted === undefined ? !ended.includes(identity.state) : identity.state !== wanted)
    log.violation(`${life.name} (${identityId}) is ${identity.state}, not ${wanted ?? ended.join(' or ')}`);
  for (const { handle, state, receipt } of credentials)
    if (state === 'destroyed' && (receipt === null || receipt.method === 'unverifiable'))
      log.violation(`${handle} is destroyed without proof: ${JSON.stringify(receipt)}`);
  checkWhatWasServed(scene, subject, { epoch: identity.epoch });
  checkNothingIssuedLate(scene, subject, credentials);
  if (subject.wallet === undefined)
    await checkWhatIsServed(scene, subject, { state: identity.state, epoch: identity.epoch, credentials });
  else await checkAgent(scene, subject, { state: identity.state, credentials });
}

/** Exactly one current credential where the identity is active: what each way to the store serves, and it logs in. */
async function checkWhatIsServed(
  { stage, calls, story, log }: Scene,
  subject: Subject,
  { state, epoch, credentials }: { state: string; epoch: number; credentials: readonly CredentialView[] },
): Promise<void> {
  const { life } = subject;
  const current = credentials.filter((credential) => credential.state === 'current');
  if (current.length !== (state === 'active' ? 1 : 0))
    log.violation(`${life.name} is ${state} and has ${current.length} current credentials`);
  const wasServed = subject.served.some(({ found }) => found.kind === 'value');
  for (const through of life.store === 'vault' ? (['vault', 'api'] as const) : (['api'] as const)) {
    const read = await look({ stage, calls, story, log }, subject, through);
    const found = read?.found;
    if (state !== 'active') {
      // An identity that never served anything has nothing to bury where it was rejected.
      const isOver =
        found?.kind === 'tombstone' || (!wasServed && found?.kind === 'nothing') || found?.kind === 'withheld';
      if (!isOver) log.violation(`${life.name} is ${state}, and ${through} serves ${JSON.stringify(found)}`);
      if (subject.lastValue === undefined) continue;
      const answer = await login(stage, subject, subject.lastValue);
      if (answer !== 'refused')
        log.violation(`${life.name} is ${state}, and the login with what was served last is ${answer}`);
      continue;
    }
    const isIt = found?.kind === 'value' && found.version === current[0]?.version && found.epoch === epoch;
    if (!isIt || !current[0]?.isServed)
      log.violation(
        `${life.name}: ${through} serves ${JSON.stringify(found)}, not version ${current[0]?.version} of epoch ${epoch}`,
      );
    if (!isIt || read?.value === undefined) continue;
    const answer = await login(stage, subject, { version: found.version, value: read.value });
    if (answer !== 'accepted') log.violation(`${life.name}: the login with what ${through} serves is ${answer}`);
  }
}

/** All looks of the run: epochs only grow, nothing served vanishes, and nothing is served after a revocation. */
function checkWhatWasServed({ log }: Scene, { served, revocation, life }: Subject, { epoch }: { epoch: number }): void {
  const highest = { vault: 0, api: 0 };
  for (const { askedAtMs, through, found } of served) {
    const isRevoked = revocation?.answeredAtMs !== undefined && askedAtMs > revocation.answeredAtMs;
    if (found.kind === 'value') {
      if (found.epoch < highest[through])
        log.violation(`${life.name}: ${through} served epoch ${found.epoch} after epoch ${highest[through]}`);
      highest[through] = Math.max(highest[through], found.epoch);
      if (isRevoked && (through === 'api' || found.epoch >= epoch))
        log.violation(
          `${life.name}: ${through} served version ${found.version} (epoch ${found.epoch}) after the revocation`,
        );
    } else if (highest[through] > 0 && revocation === undefined) {
      log.violation(`${life.name}: ${through} served epoch ${highest[through]} and then ${found.kind}`);
    }
  }
}

/** No credential is begun after a revocation was answered, nor begun or committed while a freeze was in force. */
function checkNothingIssuedLate(
  { log, story }: Scene,
  { identityId, revocation, life, served }: Subject,
  credentials: readonly CredentialView[],
): void {
  const revokedAtMs = revocation?.answeredAtMs ?? Number.POSITIVE_INFINITY;
  const freezes = story.freezes.filter(({ plan }) => plan.integration === life.integration);
  for (const { handle, version, createdAt, committedAt } of credentials) {
    if (createdAt > revokedAtMs) log.violation(`${handle} was begun after the revocation was answered`);
    if (committedAt !== null && committedAt > revokedAtMs)
      log.violation(`${handle} was committed after the revocation was answered`);
    for (const freeze of freezes) {
      if (isWithin(createdAt, freeze, identityId)) log.violation(`${handle} was begun under freeze ${freeze.id}`);
      // A rollback is allowed under a freeze, and commits what was served before anew.
      const wasServed = served.some(
        ({ found, askedAtMs }) => found.kind === 'value' && found.version === version && askedAtMs < (committedAt ?? 0),
      );
      if (committedAt !== null && !wasServed && isWithin(committedAt, freeze, identityId))
        log.violation(`${handle} was committed under freeze ${freeze.id}`);
    }
  }
}

export function isWithin(atMs: number, freeze: FreezeKept, identityId: string | undefined): boolean {
  const thawedAtMs = identityId === undefined ? undefined : freeze.thawSentAtMs.get(identityId);
  const endedAtMs = Math.min(freeze.liftSentAtMs ?? Number.POSITIVE_INFINITY, thawedAtMs ?? Number.POSITIVE_INFINITY);
  return atMs > freeze.answeredAtMs && atMs < endedAtMs;
}
