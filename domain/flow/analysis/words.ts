import { type Atom, type Fact, type FreeAtom, labelPrefix } from './atoms.ts';
import { all, any, type Formula, not } from './formula.ts';
import { timeToLive } from './linear.ts';

/** Conditions in the words of a security reviewer. What has no words of its own is quoted as it stands in the flow. */

const nouns: ReadonlyMap<string, string> = new Map([
  ['subject.id', 'the id'],
  ['subject.kind', 'the kind'],
  ['subject.name', 'the name'],
  ['subject.environment', 'the environment'],
  ['subject.purpose', 'the purpose'],
  ['subject.integration', 'the integration'],
  ['subject.issuer', 'the issuer'],
  ['subject.store', 'the store'],
  ['size(subject.scopes)', 'the number of scopes'],
  ['size(subject.consumers)', 'the number of consumers'],
  ['owner.id', 'the owner'],
  ['requester.id', 'the requester'],
  ['requester.kind', "the requester's kind"],
  ['onBehalfOf.id', 'the person it acts for'],
  ['request.kind', 'the kind of the request'],
  ['request.trigger', 'the trigger'],
  ['request.justification', 'the justification'],
  ['risk.score', 'the risk score'],
  ['tool.name', 'the tool'],
  ['tool.action', 'the action'],
  ['tool.resource', 'the resource'],
  ['tool.workspace', 'the workspace'],
  ['size(publication.names)', 'the number of flows it changes'],
  ['publication.retires', 'the number of flows it retires'],
  ['publication.weakens', 'the number of changes that weaken'],
  ['publication.strengthens', 'the number of changes that strengthen'],
  ['publication.changesDecisions', 'the number of recorded decisions it changes'],
]);

/** Facts that are true or false: what is so, and what is not so. */
const flags: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['owner.active', ['the owner is active', 'the owner is not active']],
  ['requester.active', ['the requester is active', 'the requester is not active']],
  ['onBehalfOf.active', ['the person it acts for is active', 'the person it acts for is not active']],
  ['policy.coversAction', ['its policy covers the action', 'its policy does not cover the action']],
  ['policy.coversResource', ['its policy covers the resource', 'its policy does not cover the resource']],
  ['policy.coversWorkspace', ['its policy covers the workspace', 'its policy does not cover the workspace']],
  ['delegation.isVerified', ['the person it acts for showed it', 'the person it acts for did not show it']],
  ['publication.isRollback', ['it is a rollback', 'it is no rollback']],
  [
    'other flows were published meanwhile',
    ['other flows were published meanwhile', 'the same flows are still published'],
  ],
]);

/**
 * What is the case when the formula is true: one sentence part for each thing that must hold, joined by "and" when read
 * together.
 */
export function conditionWords(formula: Formula): readonly string[] {
  return conjunctsOf(formula).map(wordsOf);
}

/** The parts that must all hold, with negations moved inwards; each is a condition of its own. */
export function conjunctsOf(formula: Formula): readonly Formula[] {
  const inwards = withNegationInside(formula);
  switch (inwards.op) {
    case 'all':
      return inwards.of.flatMap(conjunctsOf);
    case 'any':
      return inwards.of.length === 1 ? inwards.of.flatMap(conjunctsOf) : [inwards];
    case 'constant':
      return inwards.value ? [] : [inwards];
    default:
      return [inwards];
  }
}

/** True for the same facts; of the outermost operators only. */
function withNegationInside(formula: Formula): Formula {
  if (formula.op !== 'not') return formula;
  const { of } = formula;
  if (of.op === 'all') return any(...of.of.map(not));
  return of.op === 'any' ? all(...of.of.map(not)) : formula;
}

function wordsOf(formula: Formula): string {
  switch (formula.op) {
    case 'constant':
      return formula.value ? 'always' : 'never';
    case 'atom':
      return atomWords(formula.atom, true);
    case 'all':
      return joined(formula.of, ' and ');
    case 'any':
      return joined(formula.of, ' or ');
    case 'if':
      return wordsOf(any(all(formula.condition, formula.whenTrue), all(not(formula.condition), formula.whenFalse)));
    case 'fails':
      return failureWords(formula.of);
    case 'not':
      return negationWords(formula.of);
  }
}

function negationWords(formula: Formula): string {
  switch (formula.op) {
    case 'atom':
      return atomWords(formula.atom, false);
    case 'all':
      return wordsOf(any(...formula.of.map(not)));
    case 'any':
      return wordsOf(all(...formula.of.map(not)));
    case 'not':
      return wordsOf(formula.of);
    case 'if':
      return wordsOf({ ...formula, whenTrue: not(formula.whenTrue), whenFalse: not(formula.whenFalse) });
    case 'constant':
      return formula.value ? 'never' : 'always';
    case 'fails':
      return `it can be told whether ${wordsOf(formula.of)}`;
  }
}

function failureWords(formula: Formula): string {
  if (formula.op === 'not') return failureWords(formula.of);
  if (formula.op !== 'atom') return `it cannot be told whether ${wordsOf(formula)}`;
  const { atom } = formula;
  if (atom.kind === 'text') return `the label ${labelOf(atom.fact)} is absent`;
  if (atom.kind === 'free' && !atom.canFail && atom.labels.length > 0) {
    return atom.labels.map((label) => `the label ${labelOf(label)} is absent`).join(' or ');
  }
  return `it cannot be told whether ${atomWords(atom, true)}`;
}

function joined(parts: readonly Formula[], word: ' and ' | ' or '): string {
  const inner = word === ' and ' ? ['any', 'if'] : ['all', 'if'];
  const needsBrackets = (part: Formula): boolean => {
    const bare = part.op === 'not' ? part.of : part;
    const op = part.op === 'not' ? ({ all: 'any', any: 'all' }[bare.op as string] ?? bare.op) : bare.op;
    return inner.includes(op);
  };
  return parts.map((part) => (needsBrackets(part) ? `(${wordsOf(part)})` : wordsOf(part))).join(word);
}

function atomWords(atom: Atom, isSo: boolean): string {
  const is = isSo ? 'is' : 'is not';
  switch (atom.kind) {
    case 'text': {
      const [only] = atom.values;
      const values = atom.values.map(quoted);
      return atom.values.length === 1 && only !== undefined
        ? `${nounOf(atom.fact)} ${is} ${quoted(only)}`
        : `${nounOf(atom.fact)} is ${isSo ? 'one' : 'none'} of ${values.join(', ')}`;
    }
    case 'present':
      return `the label ${labelOf(atom.fact)} is ${isSo ? 'set' : 'absent'}`;
    case 'flag': {
      const [so, notSo] = flags.get(atom.fact.path) ?? [`${atom.fact.path} is true`, `${atom.fact.path} is not true`];
      return isSo ? so : notSo;
    }
    case 'number':
      return numberWords(atom, isSo);
    case 'free':
      return freeWords(atom, isSo);
  }
}

function numberWords({ of, comparison, bound }: Extract<Atom, { kind: 'number' }>, isSo: boolean): string {
  if (of.path === timeToLive) return lifeWords(comparison, bound, isSo);
  if (of.path === 'now') return clockWords(comparison, bound, isSo);
  const noun = nounOf(of);
  const number = of.path === 'subject.expiresAt' ? new Date(Number(bound)).toISOString() : String(bound);
  switch (comparison) {
    case '==':
      return `${noun} ${isSo ? 'is' : 'is not'} ${number}`;
    case '<=':
      return `${noun} is ${isSo ? 'at most' : 'more than'} ${number}`;
    case '<':
      return `${noun} is ${isSo ? 'less than' : 'at least'} ${number}`;
  }
}

function clockWords(comparison: '<' | '<=' | '==', bound: bigint, isSo: boolean): string {
  const at = new Date(Number(bound)).toISOString();
  switch (comparison) {
    case '==':
      return `it is ${isSo ? '' : 'not '}${at}`;
    case '<=':
      return isSo ? `it is ${at} or earlier` : `it is after ${at}`;
    case '<':
      return isSo ? `it is before ${at}` : `it is ${at} or later`;
  }
}

function lifeWords(comparison: '<' | '<=' | '==', bound: bigint, isSo: boolean): string {
  if (bound === 0n && comparison === '<=') return isSo ? 'the identity has expired' : 'the identity has not expired';
  const span = spanWords(bound);
  switch (comparison) {
    case '==':
      return `the identity ${isSo ? 'expires' : 'does not expire'} exactly ${span} from now`;
    case '<=':
      return `the identity expires ${isSo ? 'within' : 'more than'} ${span}${isSo ? '' : ' from now'}`;
    case '<':
      return `the identity expires ${isSo ? 'in less than' : 'in at least'} ${span}`;
  }
}

/** The largest unit that says it in a whole number: `90 days`, `36 hours`. */
export function spanWords(ms: bigint): string {
  const units = [
    ['day', 86_400_000n],
    ['hour', 3_600_000n],
    ['minute', 60_000n],
    ['second', 1000n],
  ] as const;
  const [unit, size] = units.find(([, length]) => ms !== 0n && ms % length === 0n) ?? (['ms', 1n] as const);
  const amount = ms / size;
  return `${amount} ${unit}${unit === 'ms' || amount === 1n ? '' : 's'}`;
}

/** Comparisons of two people read as a sentence; all else is quoted. */
function freeWords({ text }: FreeAtom, isSo: boolean): string {
  const sides = text.split(' == ');
  const [left, right] = sides.map((side) => sideWords(side));
  if (sides.length === 2 && left !== undefined && right !== undefined)
    return `${left} ${isSo ? 'is' : 'is not'} ${right}`;
  return `${isSo ? '' : 'not '}\`${text}\``;
}

function sideWords(side: string): string | undefined {
  const label = /^subject\.labels\.(\w+)$/.exec(side)?.[1];
  return label === undefined ? nouns.get(side) : `the label ${label}`;
}

function nounOf({ path }: Fact): string {
  if (path === 'now') return 'the time';
  if (path === 'subject.expiresAt') return 'the expiry';
  return path.startsWith(`${labelPrefix}.`) ? `the label ${labelOf({ path })}` : (nouns.get(path) ?? path);
}

const labelOf = ({ path }: Pick<Fact, 'path'>): string => path.slice(labelPrefix.length + 1);

const quoted = (value: string): string => (/^[\w.:@/-]+$/.test(value) ? value : JSON.stringify(value));
