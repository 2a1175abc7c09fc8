import { appendFileSync } from 'node:fs';

/** What happened in a seed's run, in the order in which it was noticed. */
export interface EventLog {
  note(text: string): void;
  /** Breaks a promise. The seed has failed, and goes on so that all is seen. */
  violation(text: string): void;
  readonly violations: readonly string[];
  readonly lines: readonly string[];
  /** How often something was done or met, by its name. */
  count(what: string): void;
  readonly counts: Readonly<Record<string, number>>;
  /** Since the run began, in milliseconds. */
  elapsedMs(): number;
}

/** @param file every line is appended to it at once, so that it tells of a run that was ended too */
export function eventLog(file: string): EventLog {
  const beganAtMs = Date.now();
  const lines: string[] = [];
  const violations: string[] = [];
  const counts: Record<string, number> = {};
  const elapsedMs = () => Date.now() - beganAtMs;

  function note(text: string): void {
    const line = `${(elapsedMs() / 1000).toFixed(3).padStart(8)}  ${text}`;
    lines.push(line);
    appendFileSync(file, `${line}\n`);
  }

  return {
    note,
    violation(text) {
      // Said once: what is wrong is asked again and again.
      if (violations.includes(text)) return;
      violations.push(text);
      note(`VIOLATION ${text}`);
    },
    violations,
    lines,
    count(what) {
      counts[what] = (counts[what] ?? 0) + 1;
    },
    counts,
    elapsedMs,
  };
}
