import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { EventLog } from './eventLog.ts';

/** What the API said to a call, in the end. */
export interface Answer {
  readonly status: number;
  /** The last word of the problem's type, when it was refused. */
  readonly slug: string | undefined;
  readonly detail: string | undefined;
  readonly body: unknown;
}

/** A write as it was sent, so that it can be sent once more. */
export interface Write {
  readonly principal: string;
  readonly path: string;
  readonly key: string;
  readonly body: object;
  readonly answer: Answer;
  /** An attempt before the answer was left without one, or with 503: it may be carried out yet, whatever the answer says. */
  readonly isUnsure: boolean;
  /** When the attempt that was answered was made. */
  readonly sentAtMs: number;
}

/** HTTP as real clients do it: what was not answered is asked again, a write under the same Idempotency-Key. */
export interface Caller {
  /** One read. Undefined when nobody answered, or the answer was "not now" (503). */
  read(principal: string, path: string): Promise<Answer | undefined>;
  /** Reads until there is an answer. @throws Unanswered */
  readSurely(principal: string, path: string): Promise<Answer>;
  /**
   * @param body made anew for each attempt where some of it is good for one
   * @param key left out: a new one
   * @throws Unanswered
   */
  write(principal: string, path: string, body: object | (() => Promise<object>), key?: string): Promise<Answer>;
  /** Every write that was answered, oldest first. */
  readonly written: readonly Write[];
}

/** One attempt of a call, as it is about to be sent. */
export interface Attempt {
  readonly principal: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
}

/** Nobody answered for so long that no fault of the plan explains it. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
  constructor(call: string, lastProblem: string) {
    super(`${call} was not answered for ${patienceMs / 1000} s; the last attempt: ${lastProblem}`);
  }
}

const patienceMs = 180_000;
/** The API's own bound is 5 s; a process that stands still never answers. */
const attemptMs = 8_000;
const betweenAttemptsMs = 200;

const Problem = z.looseObject({ type: z.string(), detail: z.string().optional() });

export function caller(
  {
    apiUrl,
    headersOf,
  }: {
    apiUrl: string;
    /** What shows who calls; made anew for each attempt, since some of it is good for one. */
    headersOf: (attempt: Attempt) => Promise<Readonly<Record<string, string>>>;
  },
  log: EventLog,
): Caller {
  const written: Write[] = [];

  async function attempt(principal: string, path: string, init: RequestInit): Promise<Answer | string> {
    const method = init.method === 'POST' ? 'POST' : 'GET';
    let status: number;
    let body: unknown;
    try {
      const response = await fetch(`${apiUrl}${path}`, {
        ...init,
        headers: { ...init.headers, ...(await headersOf({ principal, method, path })) },
        signal: AbortSignal.timeout(attemptMs),
      });
      status = response.status;
      body = await response.json();
    } catch (error) {
      log.count('calls that were not answered');
      return reasonOf(error);
    }
    const problem = Problem.safeParse(body);
    const answer = {
      status,
      slug: status < 400 ? undefined : problem.data?.type.slice(problem.data.type.lastIndexOf(':') + 1),
      detail: problem.data?.detail,
      body,
    };
    if (status === 503) {
      log.count(`calls answered ${answer.slug}`);
      return `503 ${answer.slug}`;
    }
    // Promise 13: what is away is said to be away. Anything else is a fault that nobody foresaw.
    if (status >= 500) {
      log.violation(`${method} ${path} was answered ${status} ${answer.slug}: ${answer.detail}`);
      return `${status} ${answer.slug}`;
    }
    return answer;
  }

  async function untilAnswered(call: string, once: () => Promise<Answer | string>): Promise<Answer> {
    const endsAtMs = Date.now() + patienceMs;
    for (;;) {
      const answer = await once();
      if (typeof answer !== 'string') return answer;
      if (Date.now() > endsAtMs) throw new Unanswered(call, answer);
      await wait(betweenAttemptsMs);
    }
  }

  return {
    written,
    async read(principal, path) {
      const answer = await attempt(principal, path, {});
      return typeof answer === 'string' ? undefined : answer;
    },
    readSurely: (principal, path) => untilAnswered(`GET ${path}`, () => attempt(principal, path, {})),
    async write(principal, path, body, key = randomUUID()) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': key };
      let sent: object = {};
      let attempts = 0;
      let sentAtMs = 0;
      const answer = await untilAnswered(`POST ${path}`, async () => {
        attempts += 1;
        sent = typeof body === 'function' ? await body() : body;
        sentAtMs = Date.now();
        return attempt(principal, path, { method: 'POST', headers, body: JSON.stringify(sent) });
      });
      written.push({ principal, path, key, body: sent, answer, isUnsure: attempts > 1, sentAtMs });
      return answer;
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
