import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import { namesOfHandle } from '../../activities/issuers/postgresRoleNames.ts';
import type { Caller } from './caller.ts';
import type { EventLog } from './eventLog.ts';
import { introspectOnce } from './resourceServer.ts';
import { pipeline, type Stage } from './stage.ts';
import type { Served, Story, Subject } from './story.ts';
import { SecretView } from './views.ts';

export interface Consumers {
  /** Ends them all, after the look that each is at. */
  stop(): Promise<void>;
}

/** A login costs both sides a key derivation: more of them would leave little of two cores to what is looked at. */
const betweenLooksMs = 400;

/**
 * One consumer for each identity: reads what the store serves, logs in with it, over and over, and forgives no outage. For each
 * agent, a resource server that introspects what it was shown.
 */
export function startConsumers(stage: Stage, calls: Caller, story: Story, log: EventLog): Consumers {
  const ending = new AbortController();
  const running = story.subjects.map(async (subject) => {
    for (let look = 0; !ending.signal.aborted; look += 1) {
      if (subject.wallet !== undefined) await introspectOnce({ stage, story, log }, subject);
      else if (subject.identityId !== undefined) {
        // What Vault serves is read past Tenure too.
        const through = subject.life.store === 'vault' && look % 2 === 0 ? 'vault' : 'api';
        await useOnce({ stage, calls, story, log }, subject, through);
      }
      await wait(betweenLooksMs);
    }
  });
  return {
    async stop() {
      ending.abort();
      await Promise.all(running);
    },
  };
}

interface Place {
  readonly stage: Stage;
  readonly calls: Caller;
  readonly story: Story;
  readonly log: EventLog;
}

async function useOnce(place: Place, subject: Subject, through: Served['through']): Promise<void> {
  const { log } = place;
  const read = await look(place, subject, through);
  if (read === undefined) return log.count('reads without an answer');
  if (read.found.kind !== 'value' || read.value === undefined) return;
  const { found, value } = read;
  const answer = await login(place.stage, subject, { version: found.version, value });
  log.count(`logins ${answer}`);
  if (answer !== 'refused') return;
  // Whoever is revoked is refused, and may be before the store is asked.
  if (subject.revocation !== undefined) return;
  const later = await lookUntilAnswered(place, subject, through);
  const isReplaced = later.kind !== 'value' || later.epoch > found.epoch;
  if (!isReplaced)
    log.violation(
      `${subject.life.name}: version ${found.version}, served under epoch ${found.epoch}, was refused by the issuer`,
    );
}

/** What the store serves now, kept in the story; undefined when nobody answered. */
export async function look(
  { stage, calls, story, log }: Place,
  subject: Subject,
  through: Served['through'],
): Promise<{ readonly found: Served['found']; readonly value?: string } | undefined> {
  const askedAtMs = Date.now();
  const read = await (through === 'vault' ? readVault(stage, subject) : readApi(calls, subject, log));
  if (read === undefined) return undefined;
  subject.served.push({ askedAtMs, through, found: read.found });
  if (read.value !== undefined && read.found.kind === 'value') {
    story.secrets.add(read.value);
    subject.lastValue = { version: read.found.version, value: read.value };
  }
  return read;
}

async function lookUntilAnswered(place: Place, subject: Subject, through: Served['through']): Promise<Served['found']> {
  for (;;) {
    const read = await look(place, subject, through);
    if (read !== undefined) return read.found;
    await wait(betweenLooksMs);
  }
}

type Read = { readonly found: Served['found']; readonly value?: string };

async function readApi(calls: Caller, { identityId, life }: Subject, log: EventLog): Promise<Read | undefined> {
  const answer = await calls.read(pipeline, `/v1/identities/${identityId}/secret`);
  if (answer === undefined) return undefined;
  if (answer.status === 200) {
    const { version, epoch, value } = SecretView.parse(answer.body);
    return { found: { kind: 'value', version, epoch }, value };
  }
  if (answer.slug === 'revoking') return { found: { kind: 'withheld' } };
  if (answer.slug === 'no-secret') {
    const isTombstone = answer.detail?.includes('tombstone') === true;
    return { found: isTombstone ? { kind: 'tombstone', epoch: undefined } : { kind: 'nothing' } };
  }
  log.violation(`${life.name}: the secret was answered ${answer.status} ${answer.slug}: ${answer.detail}`);
  return undefined;
}

const Entry = z.object({
  data: z.object({
    data: z.union([
      z.object({ epoch: z.int(), version: z.int(), value: z.string() }),
      z.object({ epoch: z.int(), tombstone: z.literal(true) }),
    ]),
  }),
});

/** Past Tenure, as root: the live path of docs/stores.md. */
async function readVault({ vault }: Stage, { identityId }: Subject): Promise<Read | undefined> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`${vault.address}/v1/${vault.mount}/data/${vault.prefix}/live/${identityId}`, {
      headers: { 'x-vault-token': vault.rootToken },
      signal: AbortSignal.timeout(3_000),
    });
    body = await response.json();
  } catch {
    // Vault is down or stands still: that it does not answer is the whole of what can be said.
    return undefined;
  }
  if (response.status === 404) return { found: { kind: 'nothing' } };
  const entry = Entry.safeParse(body);
  if (!response.ok || !entry.success) return undefined;
  const { data } = entry.data.data;
  if ('tombstone' in data) return { found: { kind: 'tombstone', epoch: data.epoch } };
  return { found: { kind: 'value', version: data.version, epoch: data.epoch }, value: data.value };
}

/** A consumer's own login on a fresh connection, past Tenure and its links. */
export async function login(
  { issuerPort }: Pick<Stage, 'issuerPort'>,
  { identityId }: Pick<Subject, 'identityId'>,
  { version, value }: { version: number; value: string },
): Promise<'accepted' | 'refused' | 'not answered'> {
  const names = namesOfHandle(`${identityId}-v${version}`);
  if (names === undefined) throw new TypeError(`${identityId} version ${version} has no login name.`);
  const client = new pg.Client({
    host: '127.0.0.1',
    port: issuerPort,
    database: 'app',
    user: names.login,
    password: value,
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  });
  // A connection that ends while it is being made rejects `connect`; the event says nothing new.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return 'accepted';
  } catch (error) {
    // invalid_password, invalid_authorization_specification: the answers about the credential; the rest is no answer.
    const isRefusal = error instanceof pg.DatabaseError && (error.code === '28P01' || error.code === '28000');
    return isRefusal ? 'refused' : 'not answered';
  } finally {
    await client.end();
  }
}
