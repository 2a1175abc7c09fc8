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
  // Up to where it hangs, a fault would keep it from getting there.
  const begins = passed.findIndex(({ step, when }) => step === shape.hangsAt?.step && when === shape.hangsAt.when) + 1;
  const steps = passed.slice(begins).filter((point) => point.when === 'before' && isCertain(point));
  return { steps, subject };
}

/** Several nudges may become one. */
function isCertain({ step, occurrence }: Point): boolean {
  return occurrence === 1 || !step.startsWith('advance(nudge)');
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
