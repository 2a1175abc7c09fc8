import { z } from 'zod';
import { type BrokenRule, guardRules } from '../flowRules.ts';
import {
  type Guard,
  type IsoDuration,
  type RequestKind,
  requestKinds,
  type Separation,
  type StepUpParty,
  separations,
  stepUpParties,
} from '../language.ts';
import { type FlowError, mistakesIn, operationAt, readDocument } from '../parse.ts';
import { duration } from '../schema.ts';
import { valueAt, type YamlPath, type YamlTree } from '../yamlPositions.ts';

/** Statements about all paths of all flows on an operation: `flows/invariants.yaml`. */

export interface Invariant {
  readonly id: string;
  /** What it says, as a sentence. */
  readonly title: string;
  readonly on: RequestKind;
  /** For which requests; all of the operation when left out. */
  readonly where?: Guard;
  readonly require: readonly Requirement[];
  /** It says nothing of requests that an exception spares a stage. Left out, an exception may break it. */
  readonly mayBeWaived?: boolean;
}

export type Requirement =
  /** The effect happens only where this is true, by whatever guards of the flow. */
  | { readonly verified: Guard }
  /** The effect happens only after so many different people, all of one stage, agreed. */
  | {
      readonly approvals: {
        /** Each of them counts; the `owner` or `group:<name>`. */
        readonly from: readonly string[];
        readonly atLeast: number;
        /** Whom the stage keeps from deciding, at the least. */
        readonly separate: readonly Separation[];
      };
    }
  /** The effect happens only after one of these proved afresh that it is them, by a sign-in no older than that. */
  | { readonly stepUp: { readonly by: readonly StepUpParty[]; readonly maxAgeAtMost: IsoDuration } }
  /** The effect happens only after waits that last so long together. */
  | { readonly waited: IsoDuration }
  /** No stage waits for people. */
  | { readonly asks: 'nobody' };

export type ParsedInvariants =
  | { readonly ok: true; readonly invariants: readonly Invariant[] }
  | { readonly ok: false; readonly errors: readonly FlowError[] };

/**
 * Reads a file of invariants, to the same standard as `parseFlow`: every mistake at its place, nothing of a broken file
 * is used. Never throws.
 */
export function parseInvariants(source: string, file: string): ParsedInvariants {
  const read = readDocument(source, file, 'invariants');
  if ('errors' in read) return { ok: false, errors: read.errors };
  const parsed = invariantsSchema.safeParse(read.tree.value);
  const rules = [...guardMistakes(read.tree), ...duplicateIds(read.tree)];
  const errors = mistakesIn(read, file, { issues: parsed.error?.issues ?? [], rules });
  if (!parsed.success || errors.length > 0) return { ok: false, errors };
  return { ok: true, invariants: parsed.data.invariants };
}

/** A map that allows no other keys; its message names those it does, as `schemaMistakes.ts` wants it. */
const closed = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : undefined),
  });

const source = z
  .string()
  .regex(/^(owner|group:[a-z0-9][a-z0-9._-]{0,62})$/, 'write owner or group:<name>, in lower-case ASCII');

const approvals = closed({
  from: z.union([source.transform((one) => [one]), z.array(source).min(1, 'must name somebody')], {
    error: 'write owner or group:<name>, in lower-case ASCII, or a list of those',
  }),
  atLeast: z.int('must be a whole number').min(1, 'must be at least 1').max(20, 'must be at most 20'),
  separate: z.array(z.enum(separations)).default([]),
});

const party = z.enum(stepUpParties);
const stepUp = closed({
  by: z.union([party.transform((one) => [one]), z.array(party).min(1, 'must name somebody')], {
    error: `write ${stepUpParties.join(', ')}, or a list of those`,
  }),
  maxAgeAtMost: duration(1_000),
});

const requirement = closed({
  verified: z.exactOptional(z.string()),
  approvals: z.exactOptional(approvals),
  stepUp: z.exactOptional(stepUp),
  waited: z.exactOptional(duration()),
  asks: z.exactOptional(z.literal('nobody')),
}).transform((written, context): Requirement => {
  const { verified, approvals: asked, stepUp: proven, waited, asks } = written;
  if (Object.keys(written).length === 1) {
    if (verified !== undefined) return { verified };
    if (asked !== undefined) return { approvals: asked };
    if (proven !== undefined) return { stepUp: proven };
    if (waited !== undefined) return { waited };
    if (asks !== undefined) return { asks };
  }
  const message = 'a requirement has exactly one of verified, approvals, stepUp, waited, asks';
  context.issues.push({ code: 'custom', message, input: written });
  return z.NEVER;
});

const invariantsSchema = closed({
  apiVersion: z.literal('tenure/v1'),
  kind: z.literal('Invariants'),
  invariants: z
    .array(
      closed({
        id: z
          .string()
          .max(63, 'an id has at most 63 characters')
          .regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, 'an id is in kebab-case: lower-case ASCII letters, digits, hyphens'),
        title: z.string().min(1, 'must not be empty').max(200, 'has at most 200 characters'),
        // Also of kinds that have no flows yet: it holds from the first one on.
        on: z.enum(requestKinds),
        where: z.exactOptional(z.string()),
        require: z.array(requirement).min(1, 'must require something').max(20, 'has at most 20 requirements'),
        mayBeWaived: z.exactOptional(z.boolean()),
      }),
    )
    .min(1, 'must state something')
    .max(200, 'has at most 200 invariants'),
});

function guardMistakes(tree: YamlTree): readonly BrokenRule[] {
  return listAt(tree.value, ['invariants']).flatMap((_invariant, index) => {
    const path: YamlPath = ['invariants', index];
    const required = listAt(tree.value, [...path, 'require']).map(
      (_one, at): YamlPath => [...path, 'require', at, 'verified'],
    );
    const on = operationAt(tree.value, [...path, 'on']);
    return [[...path, 'where'], ...required].flatMap((at) => {
      const guard = valueAt(tree.value, at);
      return typeof guard === 'string' ? guardRules(guard, at, on) : [];
    });
  });
}

function duplicateIds(tree: YamlTree): readonly BrokenRule[] {
  const ids = listAt(tree.value, ['invariants']).map((_invariant, index) =>
    valueAt(tree.value, ['invariants', index, 'id']),
  );
  return ids.flatMap((id, index) =>
    typeof id === 'string' && ids.indexOf(id) < index
      ? [{ path: ['invariants', index, 'id'], reason: `there is an invariant '${id.slice(0, 63)}' already` }]
      : [],
  );
}

function listAt(value: unknown, path: YamlPath): readonly unknown[] {
  const list = valueAt(value, path);
  return Array.isArray(list) ? list : [];
}
