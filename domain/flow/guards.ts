import {
  Environment,
  EvaluationError,
  ParseError,
  type ParseResult,
  TypeError as TypeMismatch,
} from '@marcbachmann/cel-js';
import type { Facts } from './facts.ts';
import { type FactRoot, factTypes, factTypesOf, readFacts, UnusableFact } from './guardFacts.ts';
import { guardFunctions, readGuard } from './guardLanguage.ts';
import { GuardRefused } from './guardShapes.ts';
import type { Guard, RequestKind } from './language.ts';
import { nearestWord } from './nearestWord.ts';

/** Characters of one guard: what does not fit is policy that nobody can review at a glance. */
export const guardLength = 1_000;

/** A guard that parsed, type-checked, and stays within the allowed language and its cost budget. */
export interface CompiledGuard {
  readonly text: Guard;
  /** Paths of the facts it reads, such as `subject.environment`; no others can influence it. */
  readonly reads: ReadonlySet<string>;
  /** Upper bound of evaluation steps. */
  readonly cost: number;
  readonly evaluate: ParseResult;
}

/** Why a guard cannot be used. `offset` counts UTF-16 units from the start of its text. */
export interface GuardError {
  readonly reason: string;
  readonly offset: number;
  readonly suggestion?: string;
}

export type Compilation =
  | { readonly ok: true; readonly guard: CompiledGuard }
  | { readonly ok: false; readonly error: GuardError };

/**
 * Parses and checks a guard: CEL (cel.dev, the subset of `guardLanguage.ts`) over the facts of `guardFacts.ts`, yielding
 * true or false. Never throws. The same text always gives the same answer; answers are kept in a bounded cache.
 * @param on the operation whose facts it may read: asked when a flow is read. Left out, it may read those of any, as once it
 *   was read nothing depends on it any more: a fact that is not there is an error when the guard is evaluated
 */
export function compileGuard(text: Guard, on?: RequestKind): Compilation {
  if (text.length > guardLength) {
    return refused(
      `the guard has ${text.length} characters, more than ${guardLength}: split it into stages`,
      guardLength,
    );
  }
  const roots = on === undefined ? factTypes : factTypesOf(on);
  const { environment, cache } = languageOver(roots);
  const known = cache.get(text);
  if (known !== undefined) return known;
  const compilation = compile(text, environment, roots);
  const [oldest] = cache.keys();
  if (cache.size >= cacheLimit && oldest !== undefined) cache.delete(oldest);
  cache.set(text, compilation);
  return compilation;
}

/**
 * Evaluates a guard, given as text or compiled. Never throws, reads no clock, and has no side effect: the same guard and
 * facts always give the same answer.
 * @returns the value, or why there is none (a missing, mistyped or oversized fact, an absent label, an overflow, a guard that
 *   does not compile). The caller must take an error for "no" (promise 6)
 */
export function evaluateGuard(
  guard: Guard | CompiledGuard,
  facts: Facts,
): { readonly value: boolean } | { readonly error: string } {
  try {
    const compilation = typeof guard === 'string' ? compileGuard(guard) : ({ ok: true, guard } as const);
    if (!compilation.ok) return { error: compilation.error.reason };
    const value: unknown = compilation.guard.evaluate(readFacts(facts, compilation.guard.reads));
    if (typeof value === 'boolean') return { value };
    return { error: `the guard did not give true or false but ${typeof value}` };
  } catch (error) {
    if (error instanceof EvaluationError) return { error: error.summary };
    if (error instanceof UnusableFact) return { error: error.message };
    // Nothing is known to get here; if something does, it must deny and not take the transaction down with it.
    return { error: 'the guard could not be evaluated' };
  }
}

const cacheLimit = 1_000;

/** The guard language over certain facts, with what it has compiled. One for each set of facts: there are few. */
interface Language {
  readonly environment: Environment;
  readonly cache: Map<Guard, Compilation>;
}
const languages = new Map<ReadonlyMap<string, FactRoot>, Language>();

function languageOver(roots: ReadonlyMap<string, FactRoot>): Language {
  const known = languages.get(roots);
  if (known !== undefined) return known;
  const language = { environment: factEnvironment(roots), cache: new Map<Guard, Compilation>() };
  languages.set(roots, language);
  return language;
}

function factEnvironment(roots: ReadonlyMap<string, FactRoot>): Environment {
  const declared = new Environment({
    limits: { maxDepth: 24, maxAstNodes: 400, maxListElements: 100, maxMapEntries: 1, maxCallArguments: 4 },
  });
  const celType = (type: string) => (type === 'instant' ? 'string' : type);
  for (const [root, type] of roots) {
    if (typeof type === 'string') declared.registerVariable(root, celType(type));
    else {
      const schema = Object.fromEntries(Object.entries(type).map(([field, fieldType]) => [field, celType(fieldType)]));
      declared.registerVariable({ name: root, schema });
    }
  }
  return declared;
}

function compile(text: Guard, environment: Environment, roots: ReadonlyMap<string, FactRoot>): Compilation {
  // A look-alike letter in a text ("prоduction") would make a guard mean something else than what its reviewer reads.
  const foreign = /[^\t\n\r\x20-\x7e]/.exec(text);
  if (foreign !== null)
    return refused('guards are written in ASCII: write other letters as \\u escapes', foreign.index);
  try {
    const evaluate = environment.parse(text);
    const checked = evaluate.check();
    if (!checked.valid) return celError(checked.error, roots);
    const { reads, cost } = readGuard(evaluate.ast);
    if (checked.type !== 'bool') return refused(`the guard gives ${checked.type}, not true or false`, 0);
    return { ok: true, guard: { text, reads, cost, evaluate } };
  } catch (error) {
    if (error instanceof GuardRefused) return refused(error.message, error.offset);
    return celError(error, roots);
  }
}

function refused(reason: string, offset: number, suggestion?: string): Compilation {
  return { ok: false, error: { reason, offset, ...(suggestion !== undefined && { suggestion }) } };
}

function celError(error: unknown, roots: ReadonlyMap<string, FactRoot>): Compilation {
  if (!(error instanceof ParseError || error instanceof TypeMismatch)) return refused('the guard cannot be read', 0);
  const offset = error.range?.start ?? 0;
  const word = /: (\w+)$/.exec(error.summary)?.[1] ?? '';
  switch (error.code) {
    case 'unknown_variable':
      return refused(
        factTypes.has(word)
          ? `'${word}' is a fact of other operations; here facts are ${[...roots.keys()].join(', ')}`
          : `there is no fact '${word}'; facts are ${[...roots.keys()].join(', ')}`,
        offset,
        factTypes.has(word) ? [...roots.keys()][0] : nearestWord(word, [...roots.keys()]),
      );
    case 'no_such_key': {
      const root = error.node?.input?.slice(error.node.start, error.range?.start).replace(/[\s.]+$/, '') ?? '';
      const type = roots.get(root);
      const fields = typeof type === 'object' ? Object.keys(type) : [];
      return refused(`${root} has no field '${word}'; it has ${fields.join(', ')}`, offset, nearestWord(word, fields));
    }
    case 'no_matching_overload': {
      const called = /'(?:[^'(]*\.)?(\w+)\(/.exec(error.summary)?.[1] ?? '';
      if (guardFunctions.includes(called)) return refused(readable(error.summary), offset);
      return refused(
        `'${called}' is not one of the functions of the guard language: ${guardFunctions.join(', ')}`,
        offset,
        nearestWord(called, guardFunctions),
      );
    }
    default:
      return refused(readable(error.summary), offset);
  }
}

/** The evaluator's own words without its internal type names. */
function readable(summary: string): string {
  return summary
    .replaceAll(/\$(\w+)/g, '$1')
    .replaceAll('google.protobuf.', '')
    .replace(/\bEOF\b/, 'the end of the guard');
}
