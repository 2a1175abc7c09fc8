import { z } from 'zod';
import type { Approver } from '../decisions.ts';
import { type FreezeMode, freezeModes } from '../freezeSelector.ts';
import { type RequestState, requestStates } from '../states.ts';
import type { Facts } from './facts.ts';
import { isInstant } from './guardFacts.ts';
import { factsSchema } from './schema.ts';

/**
 * What happened to a request, so that it can be played again under another flow: JSON Lines, one request a line, each with
 * the version of this format. `tenure flows record` writes it from the ledger; anything else may write it too.
 */

export const recordVersion = 1;

export interface RecordedRequest {
  readonly version: typeof recordVersion;
  readonly id: string;
  /** As they were when it was opened; `now` is that instant. */
  readonly facts: Facts;
  /** Whom `separation: [flowAuthor]` means. */
  readonly flowAuthor: string;
  /** In the order of their instants. */
  readonly events: readonly RecordedEvent[];
  /** RFC 3339: until when it was watched: when it ended, or when it was recorded. */
  readonly until: string;
  /** How it really ended; absent while it is open. */
  readonly ended?: { readonly state: RequestState; readonly reason?: string };
}

/** `at` is RFC 3339. People are as the directory knew them. */
export type RecordedEvent = { readonly at: string } & (
  | { readonly decision: 'approve' | 'deny' | 'withdraw'; readonly by: Approver }
  /** A proof, by a sign-in of that instant. */
  | { readonly confirm: Approver; readonly authenticatedAt: string }
  | { readonly pause: string }
  /** `all`: every pause, not only that person's. */
  | { readonly resume: string; readonly all?: boolean }
  | { readonly cancel: string }
  /** The id of a freeze whose subject it is. */
  | { readonly freeze: string; readonly mode?: FreezeMode }
  | { readonly thaw: string }
  | { readonly joined: string; readonly onBehalfOf?: string }
);

/** What is wrong with a line. */
export interface RecordMistake {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

export type ParsedRecords =
  | { readonly ok: true; readonly requests: readonly RecordedRequest[] }
  | { readonly ok: false; readonly mistakes: readonly RecordMistake[] };

const mistakeLimit = 50;
/** Characters of one line: a request with a thousand events has some 200,000. */
const lineLimit = 1_000_000;

const instant = z.string().refine(isInstant, 'must be an RFC 3339 instant');
const text = z.string().min(1).max(200);
const person = z.strictObject({ id: text, active: z.boolean(), groups: z.array(z.string()).max(1_000) });
const at = { at: instant };
const event = z.union(
  [
    z.strictObject({ ...at, decision: z.enum(['approve', 'deny', 'withdraw']), by: person }),
    z.strictObject({ ...at, confirm: person, authenticatedAt: instant }),
    z.strictObject({ ...at, pause: text }),
    z.strictObject({ ...at, resume: text, all: z.exactOptional(z.boolean()) }),
    z.strictObject({ ...at, cancel: text }),
    z.strictObject({ ...at, freeze: text, mode: z.exactOptional(z.enum(freezeModes)) }),
    z.strictObject({ ...at, thaw: text }),
    z.strictObject({ ...at, joined: text, onBehalfOf: z.exactOptional(text) }),
  ],
  {
    error:
      'is none of decision with by, confirm with authenticatedAt, pause, resume, cancel, freeze, thaw, joined, each with at',
  },
);

const recordSchema: z.ZodType<RecordedRequest> = z.strictObject({
  version: z.literal(recordVersion),
  id: text,
  facts: factsSchema,
  flowAuthor: z.string().max(1_000),
  events: z
    .array(event)
    .max(1_000, 'has at most 1000 events')
    .refine(isInOrder, 'must be in the order of their instants'),
  until: instant,
  ended: z.exactOptional(z.strictObject({ state: z.enum(requestStates), reason: z.exactOptional(z.string()) })),
});

function isInOrder(events: readonly RecordedEvent[]): boolean {
  return events.every((each, index) => {
    const earlier = events[index - 1];
    return earlier === undefined || Date.parse(earlier.at) <= Date.parse(each.at);
  });
}

/** Reads JSON Lines of recorded requests; empty lines count but hold nothing. Never throws. All mistakes, by their lines. */
export function parseRecords(source: string): ParsedRecords {
  const requests: RecordedRequest[] = [];
  const mistakes: RecordMistake[] = [];
  for (const [index, line] of source.split('\n').entries()) {
    if (line.trim() === '') continue;
    const read = readRecord(line);
    if ('request' in read) requests.push(read.request);
    else mistakes.push(...read.reasons.map((reason) => ({ line: index + 1, reason })));
    if (mistakes.length >= mistakeLimit) break;
  }
  return mistakes.length === 0 ? { ok: true, requests } : { ok: false, mistakes: mistakes.slice(0, mistakeLimit) };
}

function readRecord(line: string): { request: RecordedRequest } | { reasons: readonly string[] } {
  if (line.length > lineLimit) return { reasons: [`the line has ${line.length} characters, more than ${lineLimit}`] };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { reasons: ['the line is not JSON'] };
  }
  const version: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'version') : undefined;
  if (typeof version === 'number' && version !== recordVersion)
    return { reasons: [`recorded in version ${version} of the format; this release reads ${recordVersion}`] };
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return { request: parsed.data };
  return {
    reasons: parsed.error.issues.map((issue) => {
      const what =
        issue.code === 'unrecognized_keys' ? `there is no ${issue.keys.map(quoted).join(', ')} here` : issue.message;
      return issue.path.length === 0 ? what : `${issue.path.join('.')}: ${what}`;
    }),
  };
}

const quoted = (key: string): string => `'${key.length > 40 ? `${key.slice(0, 40)}…` : key}'`;
