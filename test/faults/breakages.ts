import { setTimeout as wait } from 'node:timers/promises';
import type { EventLog } from './eventLog.ts';
import { type Breakage, type Fault, type Instant, nameOf } from './plan.ts';
import type { Service } from './service.ts';
import type { Stage } from './stage.ts';

export interface Breakages {
  /** A request was seen in this state: faults may wait for it. */
  onState(seen: NonNullable<Instant['when']>): void;
  /** Resolves when the last fault is over and mended. */
  readonly over: Promise<void>;
}

/** Carries out the faults of a plan, each at its instant. */
export function breakAll(stage: Stage, faults: readonly Fault[], log: EventLog): Breakages {
  const waiting = new Map<string, () => void>();
  const keyOf = ({ life, act, state }: NonNullable<Instant['when']>) => `${life}/${act}/${state}`;
  const seen = new Set<string>();

  async function untilInstant({ when, afterMs }: Instant): Promise<void> {
    if (when === undefined) return wait(afterMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    const key = keyOf(when);
    const earlier = waiting.get(key);
    waiting.set(key, () => {
      earlier?.();
      resolve();
    });
    if (seen.has(key)) return;
    await Promise.race([promise, wait(afterMs)]);
  }

  const over = Promise.all(
    faults.map(async ({ at, breakage, forMs }) => {
      await untilInstant(at);
      await carryOut(stage, { breakage, forMs }, log);
    }),
  ).then(() => undefined);

  return {
    onState(state) {
      seen.add(keyOf(state));
      waiting.get(keyOf(state))?.();
    },
    over,
  };
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
      if (wake !== undefined) await stage.secondWorker.start();
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
