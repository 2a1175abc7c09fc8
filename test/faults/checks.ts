import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { exportEvidence } from '../../cli/evidenceExport.ts';
import { verifyExport } from '../../cli/evidenceVerify.ts';
import { checkpointResponseSchema } from '../../contracts/evidence.ts';
import { evidenceEntrySchema } from '../../domain/evidence/entry.ts';
import { formsFound } from '../attacks/forms.ts';
import type { Caller } from './caller.ts';
import { login, look } from './consumers.ts';
import type { EventLog } from './eventLog.ts';
import type { Servers } from './servers.ts';
import type { Stage } from './stage.ts';
import type { FreezeKept, RequestKept, Story, Subject } from './story.ts';
import {
  type CredentialView,
  credentialsOf,
  IdentityView,
  identityView,
  listAll,
  observer,
  RequestView,
} from './views.ts';

/** What the checks look at, and whom they tell. */
export interface Scene {
  readonly servers: Servers;
  readonly stage: Stage;
  readonly calls: Caller;
  readonly story: Story;
  readonly log: EventLog;
}

/** Holds the quiet system to every promise, from outside. What breaks one is told to the log. */
export async function checkAll(scene: Scene, heldCheckpoint: string | undefined): Promise<void> {
  const requests = await listAll(scene.calls, '/v1/requests', RequestView);
  const known = await credentialsByIdentity(scene);
  await checkInventory(scene, known);
  for (const subject of scene.story.subjects) await checkSubject(scene, subject, known);
  checkRequests(scene, requests);
  await checkAnswers(scene, requests);
  const entries = await checkEvidence(scene, requests, heldCheckpoint);
  checkSecrets(scene, entries);
}

type Known = ReadonlyMap<string, readonly CredentialView[]>;

async function credentialsByIdentity({ calls, story, log }: Scene): Promise<Known> {
  const identities = await listAll(calls, '/v1/identities', IdentityView);
  const asked = new Set(story.subjects.map(({ identityId }) => identityId));
  for (const { id, name } of identities)
    if (!asked.has(id)) log.violation(`identity ${id} ("${name}") exists, and nobody was answered with it`);
  const known = new Map<string, readonly CredentialView[]>();
  for (const { id } of identities) known.set(id, await credentialsOf(calls, id));
  return known;
}

/** No orphan: a login at the issuer is a live credential, and a live credential is a login there. */
async function checkInventory({ servers, log }: Scene, known: Known): Promise<void> {
  const client = new pg.Client({ connectionString: servers.issuer.url('app') });
  await client.connect();
  const { rows } = await client.query<{ rolname: string; rolcanlogin: boolean; tag: string | null }>(
    `SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid') AS tag FROM pg_roles
     WHERE rolname ~ '^tenure_[a-z2-7]{26}' OR shobj_description(oid, 'pg_authid') LIKE 'tenure:%'`,
  );
  await client.end();
  const live = [...known.values()].flat().filter(({ state }) => state !== 'destroyed');
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
  await checkWhatIsServed(scene, subject, { state: identity.state, epoch: identity.epoch, credentials });
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
    const isRevoking = revocation !== undefined && askedAtMs >= revocation.sentAtMs;
    const isRevoked = revocation?.answeredAtMs !== undefined && askedAtMs > revocation.answeredAtMs;
    if (found.kind === 'value') {
      if (found.epoch < highest[through])
        log.violation(`${life.name}: ${through} served epoch ${found.epoch} after epoch ${highest[through]}`);
      highest[through] = Math.max(highest[through], found.epoch);
      if (isRevoked && (through === 'api' || found.epoch >= epoch))
        log.violation(
          `${life.name}: ${through} served version ${found.version} (epoch ${found.epoch}) after the revocation`,
        );
    } else if (!isRevoking && highest[through] > 0 && revocation === undefined) {
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

function isWithin(atMs: number, freeze: FreezeKept, identityId: string | undefined): boolean {
  const thawedAtMs = identityId === undefined ? undefined : freeze.thawSentAtMs.get(identityId);
  const endedAtMs = Math.min(freeze.liftSentAtMs ?? Number.POSITIVE_INFINITY, thawedAtMs ?? Number.POSITIVE_INFINITY);
  return atMs > freeze.answeredAtMs && atMs < endedAtMs;
}

/** Each request ended as what was done to it explains. */
function checkRequests({ story, log }: Scene, requests: readonly RequestView[]): void {
  for (const request of requests) {
    const kept = story.requests.get(request.id);
    // A review that asked for a new credential opens the rotation itself.
    const isReissue = kept === undefined && request.kind === 'rotation' && request.requester === 'system:review';
    if (kept === undefined && !isReissue)
      log.violation(`${request.kind} ${request.id} of ${request.requester} exists, and nobody was answered with it`);
    const subject = kept?.subject ?? story.subjects.find(({ identityId }) => identityId === request.identityId);
    if (!isLegitimate(request, { kept, subject, story }))
      log.violation(`${request.kind} ${request.id} ended ${request.state} (${request.reason}), which nothing explains`);
  }
}

function isLegitimate(
  { state, reason }: RequestView,
  { kept, subject, story }: { kept: RequestKept | undefined; subject: Subject | undefined; story: Story },
): boolean {
  if (state === 'completed') return true;
  if (state === 'denied') return kept?.act?.approvers === 'deny' && reason === 'denied-by-approver';
  if (state !== 'cancelled') return false;
  if (reason === 'revoking') return subject?.revocation !== undefined;
  if (reason === 'frozen')
    return story.freezes.some(({ plan }) => plan.mode === 'cancel' && plan.integration === subject?.life.integration);
  return kept?.isCancelSent === true;
}

/** Promises that were given in answers: what was accepted is there, and the same key still means the same. */
async function checkAnswers({ calls, story, log }: Scene, requests: readonly RequestView[]): Promise<void> {
  const byId = new Map(requests.map((request) => [request.id, request]));
  for (const { id, what, decided } of story.requests.values()) {
    const request = byId.get(id);
    if (request === undefined) {
      log.violation(`${what} ${id} was answered with 202 and does not exist`);
      continue;
    }
    for (const { stage, approver, verdict } of decided) {
      const isCounted = request.decisions.some(
        (decision) =>
          decision.stage === stage && decision.approver.startsWith(`${approver}@`) && decision.verdict === verdict,
      );
      if (!isCounted)
        log.violation(`${approver}'s decision on ${id} (${stage}) was answered with 200 and is not there`);
    }
  }
  for (const { principal, path, key, body, answer } of [...calls.written]) {
    if (answer.status !== 202) continue;
    const again = await calls.write(principal, path, body, key);
    const [first, second] = [answer, again].map((each) => RequestView.safeParse(each.body).data?.id);
    if (again.status !== 202 || first !== second)
      log.violation(
        `POST ${path} was answered with request ${first}; its repeat with ${again.status}, request ${second}`,
      );
  }
  const after = await listAll(calls, '/v1/requests', RequestView);
  if (after.length !== requests.length)
    log.violation(`${requests.length} requests became ${after.length} by repeating calls under their keys`);
}

/** Exported, verified offline, a continuation of what was held, and each request's end in it. @returns its lines */
async function checkEvidence(
  scene: Scene,
  requests: readonly RequestView[],
  heldCheckpoint: string | undefined,
): Promise<Buffer> {
  const { stage, calls, log } = scene;
  await untilSealed(calls);
  const directory = join(stage.directory, 'evidence');
  const token = stage.token(observer);
  const exported = await exportEvidence({ url: stage.apiUrl, token, directory });
  if (!exported.ok) log.violation(`the export does not verify: ${JSON.stringify(exported.problems)}`);
  mkdirSync(join(stage.directory, 'held'), { recursive: true });
  const heldCheckpointFile = join(stage.directory, 'held', 'checkpoint');
  if (heldCheckpoint !== undefined) writeFileSync(heldCheckpointFile, heldCheckpoint);
  const verified = await verifyExport({ directory, ...(heldCheckpoint === undefined ? {} : { heldCheckpointFile }) });
  if (!verified.ok) log.violation(`the export does not verify offline: ${JSON.stringify(verified.problems)}`);
  const lines = readFileSync(join(directory, 'entries.jsonl'));
  const entries = lines
    .toString('utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => evidenceEntrySchema.parse(JSON.parse(line)));
  for (const { id, kind, state } of requests) {
    const ends = entries.filter((entry) => entry.kind === 'request.finished' && entry.requestId === id);
    if (ends.length !== 1 || ends[0]?.data['state'] !== state)
      log.violation(
        `${kind} ${id} is ${state}; its ends in the evidence: ${JSON.stringify(ends.map(({ data }) => data))}`,
      );
  }
  return lines;
}

/** Sealed within a second: nothing more is written now, so the newest checkpoint comes to stand still. */
async function untilSealed(calls: Caller): Promise<void> {
  for (let before = -1; ; ) {
    const { size } = checkpointResponseSchema.parse(
      (await calls.readSurely(observer, '/v1/evidence/checkpoints')).body,
    );
    if (size === before) return;
    before = size;
    await wait(1_500);
  }
}

/** Nothing that was served stands in a log or in the evidence. */
function checkSecrets({ stage, story, log }: Scene, evidence: Buffer): void {
  const places = { ...stage.logs(), evidence };
  for (const [place, bytes] of Object.entries(places))
    for (const secret of story.secrets)
      for (const form of formsFound(bytes, secret)) log.violation(`a served secret stands in ${place} (${form})`);
}
