import type { Faults, Point } from '../../setup/faulty.ts';
import type { TestInstallation } from '../../setup/installation.ts';
import { attendUntilFinal, type Shape, type Subject } from './shapes.ts';

/**
 * Every step that a shape takes, as the point before it, found by watching one run without faults: whatever step the
 * protocol gains is in the matrix from then on.
 */
export async function stepsOf(
  installation: TestInstallation,
  faults: Faults,
  shape: Shape,
): Promise<{ readonly steps: readonly Point[]; readonly subject: Subject }> {
  const subject = await shape.prepare(installation);
  const stopTrace = faults.trace(subject.workflowId);
  const hang = shape.hangsAt === undefined ? undefined : faults.hang(subject.workflowId, shape.hangsAt);
  await shape.begin(installation, subject, hang?.reached ?? Promise.resolve());
  await attendUntilFinal(installation, subject);
  const passed = stopTrace();
  hang?.release();
  const steps = passed.slice(beginOf(shape, passed)).filter((point) => point.when === 'before' && isCertain(point));
  return { steps, subject };
}

/** Up to where a shape hangs, a fault would keep it from getting there. */
function beginOf({ hangsAt, interruptedFrom }: Shape, passed: readonly Point[]): number {
  if (interruptedFrom !== undefined) return passed.findIndex(({ step }) => step === interruptedFrom);
  return passed.findIndex(({ step, when }) => step === hangsAt?.step && when === hangsAt.when) + 1;
}

/** Several nudges may become one, and a slow machine finds a lease over before there was a timer for its end. */
function isCertain({ step, occurrence }: Point): boolean {
  return !step.startsWith('advance(timer)') && (occurrence === 1 || !step.startsWith('advance(nudge)'));
}

/** Runs `work` on all items, so many at once: each fault gets its share of the machine before anything times out. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
