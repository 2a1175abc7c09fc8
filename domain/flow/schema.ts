import { z } from 'zod';
import { parseName } from '../names.ts';
import { defaultGrantTtl, longestGrantTtl } from '../stepUp.ts';
import { durationMs, durationPattern, InvalidDuration } from './duration.ts';
import type { Facts } from './facts.ts';
import { type FactRoot, type FactType, factTypes, factTypesOf, isInstant } from './guardFacts.ts';
import {
  type Effect,
  type ExceptionSubject,
  effects,
  type Flow,
  type FlowTest,
  type FlowTestEvent,
  type FlowTests,
  identityKinds,
  type RequestKind,
  readableVersions,
  requestKinds,
  type Stage,
  separations,
  stepUpMethods,
  stepUpParties,
} from './language.ts';
import { nearestWord } from './nearestWord.ts';

/** The shape of a flow file. What a shape cannot say (order of stages, names that must agree) is in `flowRules.ts`. */

/** The effect that belongs to each kind of request; a kind without one cannot be written as a flow yet. */
export const effectOf: Partial<Readonly<Record<RequestKind, Effect>>> = {
  onboarding: 'issue',
  rotation: 'rotate',
  revocation: 'revoke',
  review: 'review',
  publication: 'publish',
  'step-up': 'grant',
};

/** A map that allows no other keys. The message of its `unrecognized_keys` issues is the list of those it does. */
const closed = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : undefined),
  });

const kebabCase = (what: string) =>
  z
    .string()
    .max(63, `${what} has at most 63 characters`)
    .regex(
      /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
      `${what} is in kebab-case: lower-case ASCII letters, digits and single hyphens`,
    );

const text = (limit: number) => z.string().min(1, 'must not be empty').max(limit, `has at most ${limit} characters`);

/** Compiled by `flowRules.ts`, which knows its place in the text. */
const guard = z
  .string()
  .meta({ description: 'A guard: CEL over the facts, true or false. What cannot be evaluated is no.' });

const groupPattern = '^group:[a-z0-9][a-z0-9._-]{0,62}$';
const group = z.string().regex(new RegExp(groupPattern), 'write a group as group:<name>, in lower-case ASCII');
const groupOr = (...words: [string, ...string[]]) =>
  z
    .string()
    .refine(
      (source) => words.includes(source) || group.safeParse(source).success,
      `write ${words.join(', ')} or group:<name>`,
    )
    .meta({ pattern: `^(?:${words.join('|')})$|${groupPattern}` });

/** @param leastMs the shortest that makes sense there, in milliseconds */
export const duration = (leastMs = 1) =>
  z
    .string()
    .superRefine((written, context) => {
      try {
        if (durationMs(written) < leastMs)
          context.addIssue(leastMs === 1 ? 'must be longer than nothing' : `must be at least ${leastMs / 1000} s`);
      } catch (error) {
        if (!(error instanceof InvalidDuration)) throw error;
        context.addIssue(error.message);
      }
    })
    .meta({ pattern: durationPattern.source, examples: ['P1D', 'PT4H', 'P1DT12H', 'PT0.5S'] });

/** What each `byKey` chooses from: the published JSON Schema (`jsonSchema.ts`) cannot see into the choosing. */
export const choices = new WeakMap<z.core.$ZodType, readonly z.ZodType[]>();

/**
 * One of several shapes, told apart by the one key that only it has: errors then speak of the shape that was meant, not of
 * all that did not fit.
 */
function byKey<T>(what: string, shapes: Readonly<Record<string, z.ZodType<T>>>) {
  const keys = Object.keys(shapes);
  const choice = z.unknown().transform((value, context): T => {
    const present = typeof value === 'object' && value !== null ? keys.filter((key) => Object.hasOwn(value, key)) : [];
    const shape = shapes[present[0] ?? ''];
    if (shape === undefined || present.length > 1) {
      const found = present.length > 1 ? `, not ${present.join(' and ')}` : '';
      const written = typeof value === 'object' && value !== null ? Object.keys(value) : [];
      const suggestion =
        present.length > 1 ? undefined : written.map((key) => nearestWord(key, keys)).find((key) => key !== undefined);
      const message = `${what} has exactly one of ${keys.join(', ')}${found}`;
      context.issues.push({ code: 'custom', message, params: { suggestion }, input: value });
      return z.NEVER;
    }
    const result = shape.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
  choices.set(choice, Object.values(shapes));
  return choice;
}

const principal = z
  .string()
  .max(200, 'has at most 200 characters')
  .regex(/^[a-z0-9][a-z0-9._@+-]*$/, 'name a team or an e-mail address, in lower-case ASCII');

const stageId = { id: kebabCase('a stage id') };
const when = { when: z.exactOptional(guard).describe('The stage is passed over unless this guard holds.') };

const approval = closed({
  require: z
    .array(
      closed({
        from: groupOr('owner'),
        count: z
          .int('must be a whole number')
          .min(1, 'must be at least 1: a quorum of nobody is no approval')
          .max(20, 'must be at most 20'),
      }),
    )
    .min(1, 'must name at least one source of approvers')
    .describe('Every entry must be met; one person counts for one entry only.'),
  separation: z.array(z.enum(separations)).describe('Who may not decide, whatever their groups.'),
  proof: z.literal('session').default('session'),
  escalate: z
    .exactOptional(closed({ after: duration(), to: group }))
    .describe('After a while, another group may decide too.'),
  timeout: closed({ after: duration(), result: z.enum(['deny', 'expire']) }),
  // Left out, these stay out: a default filled in would give every flow from before it another digest.
  denials: z
    .exactOptional(
      z
        .int('must be a whole number')
        .min(1, 'must be at least 1: an approval that nobody can deny is none')
        .max(20, 'must be at most 20'),
    )
    .describe('How many people must deny to end the request; one when left out.'),
});

export const stageSchema = byKey<Stage>('a stage', {
  verify: closed({
    ...stageId,
    ...when,
    verify: closed({ that: guard, otherwise: kebabCase('a reason') }).describe(
      'Denied with the reason `otherwise` unless `that` holds.',
    ),
  }),
  stepUp: closed({
    ...stageId,
    ...when,
    stepUp: closed({
      method: z.enum(stepUpMethods),
      by: z.enum(stepUpParties),
      maxAge: duration(1_000).describe(
        'How old the sign-in, or what the agent signed, may be when the proof is given.',
      ),
    }).describe(
      'They prove afresh that it is them, and that they want exactly this: a person by a sign-in, the agent by its key.',
    ),
  }),
  approval: closed({ ...stageId, ...when, approval }),
  wait: closed({ ...stageId, ...when, wait: closed({ for: duration() }).describe('A cooling-off, by the clock.') }),
  effect: closed({ ...stageId, effect: z.enum(effects) }),
  notify: closed({
    ...stageId,
    ...when,
    notify: closed({ to: z.array(groupOr('owner', 'requester', 'approvers')).min(1, 'must name somebody') }),
  }),
});

const instant = z
  .string()
  .refine(isInstant, 'write an RFC 3339 instant, such as 2026-01-01T00:00:00Z')
  .meta({ format: 'date-time' });

const identityName = text(200).superRefine((written, context) => {
  const parsed = parseName(written);
  if (!parsed.ok) context.addIssue(`no identity has this name: it ${parsed.reason}`);
  else if (parsed.name !== written) context.addIssue('write it with composed characters (NFC), as names are kept');
});

export const exceptionSchema = closed({
  id: kebabCase('an exception id'),
  subject: byKey<ExceptionSubject>('the subject of an exception', {
    name: closed({ name: identityName, environment: text(200) }),
    id: closed({ id: text(26) }),
  }),
  stages: z
    .array(kebabCase('a stage id'))
    .min(1, 'must name a stage')
    .max(30, 'has at most 30 stages')
    .describe('What this subject need not pass.'),
  until: instant.describe('From then on it waives nothing.'),
  because: text(1_000),
});

const person = text(200);
const event = byKey<FlowTestEvent>('an event', {
  decision: closed({ decision: z.enum(['approve', 'deny']), by: person }),
  confirm: closed({ confirm: person, age: z.exactOptional(duration(0)) }),
  wait: closed({ wait: duration() }),
  freeze: closed({ freeze: z.literal(true) }),
  thaw: closed({ thaw: z.literal(true) }),
  pause: closed({ pause: person }),
  resume: closed({ resume: person }),
  cancel: closed({ cancel: person }),
});

const factShape: Readonly<Record<FactType, z.ZodType>> = {
  string: z.string(),
  instant,
  bool: z.boolean(),
  int: z.int('must be a whole number'),
  'list<string>': z.array(z.string()),
  'map<string, string>': z.record(z.string(), z.string()),
};

/** Facts by their names, each as `of` makes it of its own shape; roots with fields stay closed. */
function factFields<T extends z.ZodType>(
  types: ReadonlyMap<string, FactRoot>,
  of: (shape: z.ZodType) => T,
): Record<string, T> {
  return Object.fromEntries(
    [...types].map(([root, type]) => {
      if (typeof type === 'string') return [root, of(factShape[type])];
      const fields = Object.entries(type).map(([field, fieldType]) => [field, of(factShape[fieldType])] as const);
      return [root, of(closed(Object.fromEntries(fields)))];
    }),
  );
}

const whole = (types: ReadonlyMap<string, FactRoot>) => closed(factFields(types, (shape) => shape));

/** All facts of a request, none left out: those that its kind has. */
export const factsSchema = z.unknown().transform((value, context): Facts => {
  const request: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'request') : undefined;
  const kind: unknown = typeof request === 'object' && request !== null ? Reflect.get(request, 'kind') : undefined;
  const result = whole(factTypesOf(requestKinds.find((known) => known === kind) ?? 'onboarding')).safeParse(value);
  if (result.success) return result.data as unknown as Facts;
  for (const issue of result.error.issues) context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
  return z.NEVER;
});

const given = closed({
  ...factFields(factTypes, (shape) => shape.optional()),
  people: z
    .record(person, closed({ groups: z.array(z.string()).default([]), active: z.boolean().default(true) }))
    .optional(),
  flowAuthor: person.optional(),
});

export const testSchema: z.ZodType<FlowTest> = closed({
  name: text(200),
  given: given.prefault({}),
  events: z.array(event).max(100, 'has at most 100 events').default([]),
  expect: closed({
    outcome: z.enum(['waiting', 'issuing', 'held', 'denied', 'expired', 'cancelled', 'completed', 'not-covered']),
    reason: z.exactOptional(kebabCase('a reason')),
    refused: z.exactOptional(kebabCase('a refusal')),
    stage: z.exactOptional(kebabCase('a stage id')),
  }),
});

export const limitsSchema = closed({
  credentialTtl: duration()
    .default('P90D')
    .describe("How long a credential is accepted; never beyond the identity's own expiry."),
  requestTtl: duration().default('P3D').describe('How long a request may wait for people.'),
  grace: duration(0).default('PT24H').describe('How long consumers have to acknowledge a rotation.'),
  // Left out, it stays out: a default filled in would give every flow from before it another digest.
  silence: z
    .exactOptional(duration())
    .describe(
      'How long nobody may have used the replaced credential before it is destroyed, where its issuer can tell.',
    ),
  reviewEvery: z.exactOptional(duration()),
  grantTtl: z
    .exactOptional(duration(1_000))
    .describe(
      `Step-ups only: how long a grant lives at most; ${defaultGrantTtl} when left out, never beyond ${longestGrantTtl}.`,
    ),
}).prefault({});

/** Beyond it, a weight would settle every comparison by itself. */
const largestAdd = 1_000;

const risk = closed({
  weights: z
    .array(
      closed({
        when: guard,
        add: z
          .int('must be a whole number')
          .min(-largestAdd, `must be at least -${largestAdd}`)
          .max(largestAdd, `must be at most ${largestAdd}`),
        because: text(200),
      }),
    )
    .min(1, 'must have at least one weight: without risk, the score is 0')
    .max(50, 'has at most 50 weights')
    .describe('`risk.score` is the sum of `add` where `when` holds.'),
});

export const flowSchema: z.ZodType<Flow> = closed({
  apiVersion: z.literal(readableVersions),
  kind: z.literal('Flow'),
  metadata: closed({ name: kebabCase('a name'), owner: principal, description: text(1_000) }),
  on: z.enum(Object.keys(effectOf) as (keyof typeof effectOf)[]),
  subject: closed({ kind: z.exactOptional(z.enum(identityKinds)), where: z.exactOptional(guard) }).prefault({}),
  limits: limitsSchema,
  risk: z.exactOptional(risk),
  stages: z.array(stageSchema).min(1, 'must have at least one stage').max(30, 'has at most 30 stages'),
  exceptions: z.exactOptional(
    z.array(exceptionSchema).min(1, 'leave it out when there are none').max(100, 'has at most 100 exceptions'),
  ),
  tests: z.array(testSchema).max(200, 'has at most 200 tests').default([]),
});

export const flowTestsSchema: z.ZodType<FlowTests> = closed({
  apiVersion: z.literal(readableVersions),
  kind: z.literal('FlowTests'),
  flow: kebabCase('the name of a flow'),
  tests: z.array(testSchema).min(1, 'must hold at least one test').max(1_000, 'has at most 1000 tests'),
});
