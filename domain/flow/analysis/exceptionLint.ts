import type { Flow } from '../language.ts';
import type { Found } from './lint.ts';
import type { FlowPath } from './path.ts';
import { subjectWords } from './waivers.ts';

/** Exceptions that do nothing, nothing any more, or for longer than anybody remembers why. */

const longestDays = 90;

/** @param now RFC 3339; without it, nothing is said of when they end */
export function exceptionFindings(flow: Flow, paths: readonly FlowPath[], now: string | undefined): readonly Found[] {
  const used = new Set(
    paths.flatMap(({ steps }) => steps.flatMap(({ outcome }) => (outcome.is === 'waived' ? outcome.by : []))),
  );
  return (flow.exceptions ?? []).flatMap((exception, index): readonly Found[] => {
    const { id, subject, until } = exception;
    const warning = (rule: Found['rule'], message: string, suggestion: string, key = 'until'): readonly Found[] => [
      { rule, severity: 'warning', path: ['exceptions', index, key], message, suggestion },
    ];
    if (!used.has(exception)) {
      const message = `Exception ${id} waives nothing: no request of ${subjectWords(subject)} comes to its stages under this flow.`;
      return warning(
        'exception-without-effect',
        message,
        'Leave it out, or put it where that subject is governed.',
        'subject',
      );
    }
    if (now === undefined) return [];
    const leftMs = Date.parse(until) - Date.parse(now);
    if (leftMs <= 0)
      return warning(
        'exception-over',
        `Exception ${id} ended at ${until}: it waives nothing any more.`,
        'Leave it out.',
      );
    if (leftMs <= longestDays * 86_400_000) return [];
    const message = `Exception ${id} lasts until ${until}, more than ${longestDays} days from now.`;
    return warning(
      'exception-long',
      message,
      'Let it end sooner: it can be extended by the same review that it needed.',
    );
  });
}
