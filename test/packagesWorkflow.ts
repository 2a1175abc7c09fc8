import { condition, defineSignal, setHandler } from '@temporalio/workflow';

export const release = defineSignal('release');

// Each workflow has its own copy of a module's state, or replay would depend on what else a worker runs.
let starts = 0;

/** How many workflows this copy of the module has seen start. */
export async function countStarts(): Promise<number> {
  let isReleased = false;
  setHandler(release, () => {
    isReleased = true;
  });
  starts += 1;
  await condition(() => isReleased);
  return starts;
}
