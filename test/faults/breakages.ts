import { setTimeout as wait } from 'node:timers/promises';
import type { EventLog } from './eventLog.ts';
import type { Instants } from './instants.ts';
import { type Breakage, type Fault, nameOf } from './plan.ts';
import type { Service } from './service.ts';
import type { Stage } from './stage.ts';
import { together } from './together.ts';

/** Carries out the faults of a plan, each at its instant. Returns when the last one is over and mended. */
export async function breakAll(
  stage: Stage,
  faults: readonly Fault[],
  instants: Instants,
  log: EventLog,
): Promise<void> {
  await together(
    faults.map(async ({ at, breakage, forMs }) => {
      await instants.until(at);
      await carryOut(stage, { breakage, forMs }, log);
    }),
  );
}

async function carryOut(stage: Stage, { breakage, forMs }: Omit<Fault, 'at'>, log: EventLog): Promise<void> {
  const name = nameOf(breakage);
  const mend = await begin(stage, breakage);
  if (mend === undefined) {
    log.count('faults skipped: it was down already');
    log.note(`${name}: skipped, it is down already`);
    return;
  }
  log.count(`fault: ${name}`);
  log.note(`${name} for ${forMs} ms`);
  await wait(forMs);
  await mend();
  log.note(`${name}: mended`);
}

/** @returns how to mend it, or undefined when there was nothing to break */
async function begin(stage: Stage, breakage: Breakage): Promise<(() => Promise<void>) | undefined> {
  switch (breakage.do) {
    case 'kill': {
      const service = stage.service(breakage.process);
      const isKilled = await service.kill();
      if (!isKilled) return undefined;
      // Whoever is started anew finds no other worker, as after the death of a machine.
      if (breakage.process === 'worker') await stage.secondWorker.kill();
      return () => service.start();
    }
    case 'stop':
      return suspend(stage.service(breakage.process));
    case 'zombie': {
      const wake = suspend(stage.service('worker'));
      if (wake === undefined) return undefined;
      try {
        await stage.secondWorker.start();
      } catch (error) {
        // It failed because the first stands still, or in spite of it: either way that one must not stay so.
        await wake();
        throw error;
      }
      return wake;
    }
    case 'cut': {
      const link = stage.link(breakage.link);
      await link.cut();
      return () => link.heal();
    }
    case 'reset': {
      const link = stage.link(breakage.link);
      await link.poison('reset_peer', { timeout: 0 });
      return () => link.heal();
    }
    case 'blackhole': {
      const link = stage.link(breakage.link);
      await link.poison('timeout', { timeout: 0 });
      return () => link.heal();
    }
    case 'delay': {
      const link = stage.link(breakage.link);
      await link.poison('latency', { latency: breakage.ms, jitter: Math.floor(breakage.ms / 4) });
      return () => link.heal();
    }
    case 'throttle': {
      const link = stage.link(breakage.link);
      await link.poison('bandwidth', { rate: breakage.kilobytesPerSecond });
      return () => link.heal();
    }
  }
}

function suspend(service: Service): (() => Promise<void>) | undefined {
  if (!service.suspend()) return undefined;
  return async () => service.wake();
}
