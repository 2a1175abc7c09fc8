/**
 * One question for all that is asked in one turn of the event loop: under load one statement, one write and one read of its
 * socket serve many callers. It is asked after the last of them asked, so what it says held then; who asks alone waits for
 * nobody. When it fails, it fails for all of them.
 * @param ask answers as many as it is asked for, in that order
 */
export function askedTogether<Asked, Found>(
  ask: (all: readonly Asked[]) => Promise<readonly Found[]>,
): (asked: Asked) => Promise<Found> {
  let waiting: Asked[] = [];
  let answer: Promise<readonly Found[]> | undefined;

  async function askAll(): Promise<readonly Found[]> {
    await new Promise((resolve) => setImmediate(resolve));
    const all = waiting;
    waiting = [];
    answer = undefined;
    return ask(all);
  }

  return async (asked) => {
    const place = waiting.push(asked) - 1;
    answer ??= askAll();
    return (await answer)[place] as Found;
  };
}
