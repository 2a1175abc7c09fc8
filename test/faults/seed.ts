import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { checkpointResponseSchema } from '../../contracts/evidence.ts';
import { callHeaders } from './agentWallets.ts';
import { breakAll } from './breakages.ts';
import { caller } from './caller.ts';
import { checkAll } from './checks.ts';
import { startConsumers } from './consumers.ts';
import { eventLog } from './eventLog.ts';
import { freeze } from './incidents.ts';
import { instants } from './instants.ts';
import { live } from './lives.ts';
import { revokeFrozen } from './massRevocations.ts';
import type { Plan } from './plan.ts';
import { planOf } from './planOf.ts';
import { untilQuiet } from './quiet.ts';
import { attendReissues } from './reissues.ts';
import type { Servers } from './servers.ts';
import { onboardSigner } from './signer.ts';
import { openStage, stageDirectory } from './stage.ts';
import { newStory } from './story.ts';
import { awaitedLater, together } from './together.ts';
import { observer } from './views.ts';

export interface SeedResult {
  readonly seed: number;
  readonly passed: boolean;
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly tookMs: number;
  /** Of `tookMs`: after the last fault was mended and the last person had finished. */
  readonly untilQuietMs: number;
}

export interface SeedRun {
  readonly result: SeedResult;
  readonly plan: Plan;
  readonly lines: readonly string[];
  /** Kept when it failed, or when asked to. */
  readonly directory: string;
}

/** Runs one seed on servers that are healthy, and leaves them so. */
export async function runSeed(servers: Servers, seed: number, { keep }: { keep: boolean }): Promise<SeedRun> {
  const plan = planOf(seed);
  const directory = stageDirectory(seed);
  const log = eventLog(join(directory, 'events.log'));
  const stage = await openStage(servers, plan, log, directory);
  let untilQuietMs = 0;
  try {
    log.note('everything is up');
    const story = newStory(plan.lives);
    const calls = caller({ apiUrl: stage.apiUrl, headersOf: callHeaders(stage, story) }, log);
    // The first call of a new process is slow, and would shift every instant of the plan.
    await calls.readSurely(observer, '/v1/requests');
    const signer = await onboardSigner(calls);
    const consumers = startConsumers(stage, calls, story, log);
    const setting = { apiUrl: stage.apiUrl, calls, story, log, instants: instants() };
    const breakages = breakAll(stage, plan.faults, setting.instants, log);
    const quiet = new AbortController();
    const reissues = awaitedLater(attendReissues(setting, quiet.signal));
    const held = holdCheckpoint();
    const begun = story.subjects.filter(({ index }) => index !== plan.massRevocation?.late);
    const lives = begun.map((subject) => live(setting, subject));
    const freezes = plan.freezes.map((each) => freeze(setting, each));
    const revoked = plan.massRevocation === undefined ? [] : [revokeFrozen(setting, plan.massRevocation)];
    await together([...lives, ...freezes, ...revoked, breakages, held]).catch((error: unknown) =>
      log.violation(String(error)),
    );
    const quietFromMs = log.elapsedMs();
    for (const what of await untilQuiet(servers, stage, calls, log)) log.violation(`not quiet: ${what}`);
    untilQuietMs = log.elapsedMs() - quietFromMs;
    quiet.abort();
    await reissues.catch((error: unknown) => log.violation(String(error)));
    await consumers.stop();
    await checkAll({ servers, stage, calls, story, log, signer }, await held);

    /** As somebody outside keeps one: early, and whatever comes later must continue it. */
    async function holdCheckpoint(): Promise<string | undefined> {
      await wait(2_500);
      const { body } = await calls.readSurely(observer, '/v1/evidence/checkpoints');
      const checkpoint = checkpointResponseSchema.safeParse(body).data;
      log.count(checkpoint === undefined ? 'no checkpoint held: none was signed yet' : 'checkpoint held');
      return checkpoint?.note;
    }
  } catch (error) {
    log.violation(`the run itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    await stage.close(keep || log.violations.length > 0);
  }
  const passed = log.violations.length === 0;
  const result = {
    seed,
    passed,
    violations: log.violations,
    counts: log.counts,
    tookMs: log.elapsedMs(),
    untilQuietMs,
  };
  return { result, plan, lines: log.lines, directory };
}
