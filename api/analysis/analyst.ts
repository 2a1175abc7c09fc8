import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Problem } from '../problem.ts';
import type { Analyses, FlowMistake, Outcome } from './analyses.ts';

/** Reasons about flows in threads of its own, so that the API answers meanwhile. */
export interface FlowAnalyst {
  /**
   * Carries an analysis out, or says why not. Bounded in time and memory, whatever the flows are.
   * @throws Problem `flow-invalid` with every mistake, `too-complex`, or `too-many-requests` when too many are waiting
   */
  analyse<A extends keyof Analyses>(analysis: A, asked: Analyses[A]['asked']): Promise<Analyses[A]['found']>;
}

export interface AnalystLimits {
  /** Analyses at once. */
  readonly threads: number;
  /** Analyses that wait for a thread; more are refused. */
  readonly waiting: number;
  /** After it a thread is ended, whatever it does. */
  readonly patienceMs: number;
  readonly heapMb: number;
}

/** Two leave a core to the API on the machines it is made for; the slowest shipped flow takes a hundredth of the time. */
export const defaultAnalystLimits: AnalystLimits = { threads: 2, waiting: 8, patienceMs: 10_000, heapMb: 256 };

/** Threads begin with the first analysis, and are kept. `close` ends them; what is under way then fails. */
export function flowAnalyst(limits: AnalystLimits = defaultAnalystLimits): FlowAnalyst & { close(): Promise<void> } {
  const threads = new Set<Worker>();
  const idle: Worker[] = [];
  const waiting: (() => void)[] = [];
  let underWay = 0;

  async function turn(): Promise<void> {
    if (underWay < limits.threads) underWay += 1;
    // Whoever ends hands over its turn.
    else if (waiting.length < limits.waiting) await new Promise<void>((resolve) => waiting.push(resolve));
    else
      throw new Problem('too-many-requests', 'Too many flows are being analysed. Send it again in some seconds.', {
        headers: { 'Retry-After': '5' },
      });
  }

  function endTurn(): void {
    const next = waiting.shift();
    if (next === undefined) underWay -= 1;
    else next();
  }

  function begin(): Worker {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), {
      // Flows and records are all that it is given.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: limits.heapMb },
    });
    thread.unref();
    threads.add(thread);
    thread.once('exit', () => threads.delete(thread));
    // Who waits for it is told; an error after that concerns nobody, and must not end the process.
    thread.on('error', () => undefined);
    return thread;
  }

  /** @throws Problem `too-complex` when it takes too long or too much memory */
  async function outcomeOf(analysis: string, asked: unknown): Promise<unknown> {
    const thread = idle.pop() ?? begin();
    try {
      const answered = once(thread, 'message', { signal: AbortSignal.timeout(limits.patienceMs) });
      thread.postMessage({ analysis, asked });
      const [outcome] = await answered;
      idle.push(thread);
      return outcome;
    } catch (error) {
      await thread.terminate();
      if (!isBoundary(error)) throw error;
      throw new Problem(
        'too-complex',
        `The analysis (${analysis}) was ended: it would take more than ${limits.patienceMs / 1000} s or ${limits.heapMb} MB. ` +
          'Split the flow, make its guards simpler, or ask about fewer requests; `tenure flows` does the same without these limits.',
        { cause: error },
      );
    }
  }

  return {
    async analyse<A extends keyof Analyses>(analysis: A, asked: Analyses[A]['asked']) {
      await turn();
      try {
        // Our own thread's, made by `carryOut` for this very analysis.
        const outcome = (await outcomeOf(analysis, asked)) as Outcome<Analyses[A]['found']>;
        if ('found' in outcome) return outcome.found;
        if ('tooComplex' in outcome) throw new Problem('too-complex', outcome.tooComplex);
        const { mistakes } = outcome;
        throw flowInvalid(mistakes);
      } finally {
        endTurn();
      }
    },
    async close() {
      await Promise.all([...threads].map((thread) => thread.terminate()));
    },
  };
}

function flowInvalid(mistakes: readonly FlowMistake[]): Problem {
  const file = mistakes[0]?.file ?? 'it';
  return new Problem(
    'flow-invalid',
    `The flow ${file} has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}, told under "mistakes". ` +
      'Correct it, then send it again: nothing of a broken flow is used.',
    { extensions: { mistakes } },
  );
}

/** The time or the heap is used up: what the input brought about, and no defect. */
function isBoundary(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'AbortError' || ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY');
}
