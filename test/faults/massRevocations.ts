import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { lift, openFreeze, rotateAll } from './incidents.ts';
import { attend, open, type Setting, standstillMs } from './lives.ts';
import type { MassRevocation } from './plan.ts';
import type { MassRevocationKept, Subject } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { identityView, MassRevocationView, observer } from './views.ts';

const betweenLooksMs = 150;
/** From the commit that takes an identity on. */
const taken: readonly string[] = ['revoking', 'revoked', 'rejected'];
const Unconfirmed = z.object({ subjects: z.int() });

/** Freezes an integration, and revokes all that it holds. Returns when that is closed, and the freeze lifted where it is to be. */
export async function revokeFrozen(setting: Setting, plan: MassRevocation): Promise<void> {
  const { instants, story, log } = setting;
  await instants.until(plan.at);
  const subjects = story.subjects.filter(({ life }) => life.integration === plan.integration);
  const [early, late] = [false, true].map((isLate) => subjects.filter(({ index }) => (index === plan.late) === isLate));
  // Whoever is known before the freeze is taken, whatever else becomes of it.
  await untilKnown(early ?? []);
  const freeze = await openFreeze(setting, plan);
  instants.tell({ massRevocation: 'frozen' });
  const defied = awaitedLater(plan.isDefied ? rotateAll(setting, plan) : Promise.resolve());
  await wait(plan.startsAfterMs);
  for (const subject of early ?? []) subject.revocation ??= { sentAtMs: Date.now(), answeredAtMs: undefined };
  const kept = await start(setting, plan, freeze);
  instants.tell({ massRevocation: 'started' });
  const attended: Promise<void>[] = [];
  const paused = awaitedLater(pauseAndResume(setting, kept, { late: late ?? [], attended }));
  await follow(setting, kept, subjects);
  await paused;
  for (const subject of subjects) await checkTaken(setting, kept, subject);
  const isLateLeft = late?.some(({ revocation }) => revocation === undefined) === true;
  // Everything that it held is revoked: nothing is left to be reviewed.
  if (plan.isLifted || isLateLeft) {
    const answer = await lift(setting, freeze, { override: false });
    if (!freeze.isLifted)
      log.violation(`all of ${freeze.id} is revoked, and its lift was refused: ${answer.slug}: ${answer.detail}`);
  }
  await together([...attended, defied]);
}

async function untilKnown(subjects: readonly Subject[]): Promise<void> {
  const endsAtMs = Date.now() + standstillMs;
  while (subjects.some(({ identityId }) => identityId === undefined)) {
    if (Date.now() > endsAtMs) throw new Error('not everybody whom the mass revocation is to take was onboarded');
    await wait(betweenLooksMs);
  }
}

const pathOf = ({ id, freeze }: MassRevocationKept) => `/v1/freezes/${freeze.id}/revocations/${id}`;

async function start(
  { calls, story, log }: Setting,
  plan: MassRevocation,
  freeze: MassRevocationKept['freeze'],
): Promise<MassRevocationKept> {
  const path = `/v1/freezes/${freeze.id}/revocations`;
  const reason = 'the plan says so';
  let answer = await calls.write('responder', path, { reason });
  while (answer.slug === 'confirmation-required') {
    const { subjects: confirm } = Unconfirmed.parse(answer.body);
    answer = await calls.write('responder', path, { reason, confirm });
  }
  if (answer.status !== 202) log.violation(`the mass revocation was refused: ${answer.slug}: ${answer.detail}`);
  const { id } = MassRevocationView.parse(answer.body);
  const kept: MassRevocationKept = { plan, id, freeze, commanded: [] };
  story.massRevocations.push(kept);
  log.count('mass revocation started');
  log.note(`mass revocation ${id} of freeze ${freeze.id} is started`);
  return kept;
}

async function read({ calls }: Setting, kept: MassRevocationKept): Promise<MassRevocationView> {
  return MassRevocationView.parse((await calls.readSurely(observer, pathOf(kept))).body);
}

/** Tells when each subject was seen to be taken. Returns when it is closed. */
async function follow(setting: Setting, kept: MassRevocationKept, subjects: readonly Subject[]): Promise<void> {
  const { calls, log } = setting;
  let seen = '';
  let sinceMs = Date.now();
  for (;;) {
    const now = await read(setting, kept);
    for (const { identityId, revocation } of subjects) {
      if (identityId === undefined || revocation === undefined || revocation.answeredAtMs !== undefined) continue;
      const { state } = await identityView(calls, identityId);
      if (taken.includes(state)) revocation.answeredAtMs = Date.now();
    }
    const shown = `${now.state} ${JSON.stringify(now.total)}`;
    if (shown !== seen) {
      seen = shown;
      sinceMs = Date.now();
      log.note(`mass revocation ${kept.id} is ${shown}`);
    }
    if (now.state === 'closed') return log.count('mass revocation closed');
    if (Date.now() - sinceMs > standstillMs)
      throw new Error(
        `mass revocation ${kept.id} has been ${shown} for ${standstillMs / 1000} s; nothing explains that`,
      );
    await wait(betweenLooksMs);
  }
}

/** Whoever is late is onboarded in the first pause: until it closes, whoever matches is taken too. */
async function pauseAndResume(
  setting: Setting,
  kept: MassRevocationKept,
  { late, attended }: { late: readonly Subject[]; attended: Promise<void>[] },
): Promise<void> {
  for (const [index, { afterMs, forMs }] of kept.plan.pauses.entries()) {
    await wait(afterMs);
    if (!(await command(setting, kept, 'pause'))) break;
    const { total: before } = await read(setting, kept);
    setting.instants.tell({ massRevocation: 'paused' });
    for (const subject of index === 0 ? late : []) attended.push(...(await onboard(setting, subject)));
    await wait(forMs);
    const { total, state } = await read(setting, kept);
    // Closed, it had nothing left that could begin.
    if (state === 'paused' && total.waiting < before.waiting)
      setting.log.violation(
        `mass revocation ${kept.id} is paused, and went on from ${before.waiting} waiting to ${total.waiting}`,
      );
    if (!(await command(setting, kept, 'resume'))) break;
  }
}

async function onboard(setting: Setting, subject: Subject): Promise<Promise<void>[]> {
  const [act] = subject.life.acts;
  if (act === undefined) return [];
  const onboarding = await open(setting, subject, act);
  subject.revocation = { sentAtMs: Date.now(), answeredAtMs: undefined };
  return onboarding === undefined ? [] : [awaitedLater(attend(setting, onboarding, 0))];
}

/** @returns false when it had closed before */
async function command({ calls, log }: Setting, kept: MassRevocationKept, verb: 'pause' | 'resume'): Promise<boolean> {
  const answer = await calls.write('responder-2', `${pathOf(kept)}/${verb}`, { reason: 'the plan says so' });
  const isDone = answer.status === 200;
  const done = verb === 'pause' ? 'paused' : 'resumed';
  if (isDone) kept.commanded.push(done);
  log.count(isDone ? `mass revocation ${done}` : `mass revocation: ${verb} refused: ${answer.slug}`);
  log.note(`${verb} of mass revocation ${kept.id}: ${isDone ? 'done' : answer.slug}`);
  if (!isDone && answer.slug !== 'mass-revocation-closed')
    log.violation(`${verb} of mass revocation ${kept.id} was refused: ${answer.slug}: ${answer.detail}`);
  return isDone;
}

/** Closed, it has taken everybody; only who came late to one that closed while it was paused may be left. */
async function checkTaken({ calls, log }: Setting, kept: MassRevocationKept, subject: Subject): Promise<void> {
  const { identityId, revocation, life } = subject;
  if (identityId === undefined || revocation === undefined || revocation.answeredAtMs !== undefined) return;
  const { state } = await identityView(calls, identityId);
  if (taken.includes(state)) revocation.answeredAtMs = Date.now();
  else if (subject.index === kept.plan.late && kept.commanded.at(-1) !== 'resumed') subject.revocation = undefined;
  else log.violation(`mass revocation ${kept.id} is closed, and ${life.name} (${identityId}) is ${state}`);
}
