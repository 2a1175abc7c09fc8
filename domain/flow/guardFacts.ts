import type { Facts, PublicationRequestFacts, StepUpRequestFacts } from './facts.ts';
import type { RequestKind } from './language.ts';

/** Types a guard may read. An `instant` is text in CEL (RFC 3339), made to compare by `timestamp()`. */
export type FactType = 'string' | 'instant' | 'bool' | 'int' | 'list<string>' | 'map<string, string>';

/** One root: a single value (`now`), or named fields (`subject`). */
export type FactRoot = FactType | Readonly<Record<string, FactType>>;

type TypesOf<T> = {
  readonly [Root in keyof T]: T[Root] extends string ? FactType : { readonly [Field in keyof T[Root]]: FactType };
};
type AllFacts = StepUpRequestFacts & PublicationRequestFacts;

const person = { id: 'string', active: 'bool', groups: 'list<string>' } as const;

const declared = {
  subject: {
    id: 'string',
    kind: 'string',
    name: 'string',
    environment: 'string',
    purpose: 'string',
    integration: 'string',
    scopes: 'list<string>',
    consumers: 'list<string>',
    labels: 'map<string, string>',
    expiresAt: 'instant',
    issuer: 'string',
    store: 'string',
  },
  owner: person,
  publication: {
    names: 'list<string>',
    operations: 'list<string>',
    isRollback: 'bool',
    retires: 'int',
    weakens: 'int',
    strengthens: 'int',
    changesDecisions: 'int',
  },
  tool: { name: 'string', action: 'string', resource: 'string', workspace: 'string' },
  policy: { coversAction: 'bool', coversResource: 'bool', coversWorkspace: 'bool' },
  delegation: { isVerified: 'bool' },
  requester: { ...person, kind: 'string' },
  onBehalfOf: person,
  request: { kind: 'string', trigger: 'string', justification: 'string' },
  risk: { score: 'int' },
  now: 'instant',
} as const satisfies TypesOf<AllFacts>;

/** Every fact that guards may read, whatever the operation. The compiler holds it to `Facts`: a fact without a type, or a type without a fact, does not build. */
export const factTypes: ReadonlyMap<string, FactRoot> = new Map<string, FactRoot>(Object.entries(declared));

const publicationOnly: readonly string[] = ['publication'] satisfies (keyof AllFacts)[];
const identityOnly: readonly string[] = ['subject', 'owner'] satisfies (keyof AllFacts)[];
const stepUpOnly: readonly string[] = ['tool', 'policy', 'delegation'] satisfies (keyof AllFacts)[];

const ofIdentities = without([...publicationOnly, ...stepUpOnly]);
const ofStepUps = without(publicationOnly);
const ofPublications = without([...identityOnly, ...stepUpOnly]);

/** The facts that guards on this operation may read. */
export function factTypesOf(operation: RequestKind): ReadonlyMap<string, FactRoot> {
  if (operation === 'publication') return ofPublications;
  return operation === 'step-up' ? ofStepUps : ofIdentities;
}

function without(roots: readonly string[]): ReadonlyMap<string, FactRoot> {
  return new Map([...factTypes].filter(([root]) => !roots.includes(root)));
}

/** The most entries a list or map fact may have: the API refuses more, and evaluation does too, so that a guard's cost is bounded. */
export const factEntriesLimit = 200;
/** Characters of one entry of a list or map fact. */
export const factEntryLength = 1_000;
/** Characters of a text fact. */
export const factTextLength = 10_000;

/** A fact that a guard reads is missing, of another type, or too large. The message names the fact, never its value. */
export class UnusableFact extends Error {
  override readonly name = 'UnusableFact';
}

/**
 * The values at `paths` (`subject.scopes`, `now`) as the evaluator wants them: integers as bigint, maps as Map (so that a
 * key named `constructor` is only a key), only own properties, and nothing that the guard does not read.
 * @throws UnusableFact when one is missing, of another type, or larger than the limits above
 */
export function readFacts(facts: Facts, paths: Iterable<string>): Record<string, unknown> {
  const context: Record<string, unknown> = {};
  for (const path of paths) {
    const [root = '', field] = path.split('.', 2);
    const type = factTypes.get(root);
    if (field === undefined) {
      if (typeof type !== 'string') throw new UnusableFact(`${path} is not a fact`);
      context[root] = convert(path, type, ownValue(facts, root));
      continue;
    }
    const fieldType = typeof type === 'object' ? type[field] : undefined;
    if (fieldType === undefined) throw new UnusableFact(`${path} is not a fact`);
    const value = convert(path, fieldType, ownValue(ownValue(facts, root), field));
    const fields = context[root];
    if (fields instanceof Map) fields.set(field, value);
    else context[root] = new Map([[field, value]]);
  }
  return context;
}

function ownValue(holder: unknown, key: string): unknown {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, key)) return undefined;
  return Reflect.get(holder, key);
}

function convert(path: string, type: FactType, value: unknown): unknown {
  if (value === undefined || value === null) throw new UnusableFact(`${path} is missing`);
  switch (type) {
    case 'string':
      return textOf(path, value, factTextLength);
    case 'instant':
      if (typeof value !== 'string' || !isInstant(value)) throw new UnusableFact(`${path} is not an RFC 3339 instant`);
      return value;
    case 'bool':
      if (typeof value !== 'boolean') throw new UnusableFact(`${path} is not true or false`);
      return value;
    case 'int':
      if (typeof value !== 'number' || !Number.isSafeInteger(value))
        throw new UnusableFact(`${path} is not a whole number`);
      return BigInt(value);
    case 'list<string>':
      return listOf(path, value);
    case 'map<string, string>':
      return mapOf(path, value);
  }
}

function textOf(path: string, value: unknown, limit: number): string {
  if (typeof value !== 'string') throw new UnusableFact(`${path} is not text`);
  if (value.length > limit) throw new UnusableFact(`${path} is longer than ${limit} characters`);
  return value;
}

function listOf(path: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new UnusableFact(`${path} is not a list`);
  if (value.length > factEntriesLimit) throw new UnusableFact(`${path} has more than ${factEntriesLimit} entries`);
  return Array.from(value, (entry: unknown) => textOf(`an entry of ${path}`, entry, factEntryLength));
}

function mapOf(path: string, value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UnusableFact(`${path} is not a map`);
  const entries = Object.entries(value);
  if (entries.length > factEntriesLimit) throw new UnusableFact(`${path} has more than ${factEntriesLimit} entries`);
  return new Map(
    entries.map(([key, entry]) => [
      textOf(`a key of ${path}`, key, factEntryLength),
      textOf(`an entry of ${path}`, entry, factEntryLength),
    ]),
  );
}

const instantPattern =
  /^(\d{4})-(\d{2})-(\d{2})T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * Whether `text` is an RFC 3339 §5.6 instant, to the millisecond, with its offset (without one, it would mean another
 * instant on each machine), on a day that exists. Leap seconds are refused: the evaluator cannot hold them.
 */
export function isInstant(text: string): boolean {
  const match = instantPattern.exec(text);
  if (match === null) return false;
  const [, year, month, day] = match.map(Number);
  if (year === undefined || month === undefined || day === undefined || year < 1) return false;
  const midnight = new Date(0);
  // Not Date.UTC: it reads years below 100 as 19xx.
  midnight.setUTCFullYear(year, month - 1, day);
  return midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day;
}
