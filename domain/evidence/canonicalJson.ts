import canonicalize from 'canonicalize';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

/** Deeper than anything we write: beyond it the value is a mistake (or a cycle), not data. */
const maximumDepth = 64;

/** The value is not exactly JSON, so its bytes would not say what the object says. Nothing was produced. */
export class NotPlainJson extends Error {
  override readonly name = 'NotPlainJson';
  readonly path: string;
  constructor(path: string, found: string) {
    super(`${path} is ${found}, which JSON cannot carry exactly. Leave the member out or write it as a string.`);
    this.path = path;
  }
}

/**
 * The RFC 8785 (JCS) text of `value`: one line, the same for equal values on every machine. Its UTF-8 bytes are what is
 * stored, hashed and signed.
 * @throws NotPlainJson naming the member: undefined, NaN, unsafe integers, lone surrogates, dates, class instances.
 * `canonicalize` alone would drop some of these silently, and a dropped member is a fact that evidence lacks.
 */
export function canonicalJson(value: unknown): string {
  requirePlainJson(value, '$', 0);
  const text = canonicalize(value);
  if (text === undefined) throw new NotPlainJson('$', 'nothing');
  return text;
}

function requirePlainJson(value: unknown, path: string, depth: number): void {
  if (depth > maximumDepth) throw new NotPlainJson(path, `nested deeper than ${maximumDepth} levels`);
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') requireWellFormed(value, path);
  else if (typeof value === 'number') requireExactNumber(value, path);
  else if (Array.isArray(value)) requirePlainItems(value, path, depth);
  else if (typeof value === 'object') requirePlainMembers(value, path, depth);
  else throw new NotPlainJson(path, value === undefined ? 'undefined' : `a ${typeof value}`);
}

/** By index, since `forEach` passes over holes, which JSON would turn into null. */
function requirePlainItems(items: readonly unknown[], path: string, depth: number): void {
  for (let index = 0; index < items.length; index++) requirePlainJson(items[index], `${path}[${index}]`, depth + 1);
}

function requirePlainMembers(object: object, path: string, depth: number): void {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) throw new NotPlainJson(path, 'an instance of a class');
  if (Object.getOwnPropertySymbols(object).length > 0) throw new NotPlainJson(path, 'an object with symbol keys');
  for (const [member, value] of Object.entries(object)) {
    requireWellFormed(member, `a member name in ${path}`);
    requirePlainJson(value, `${path}.${member}`, depth + 1);
  }
}

function requireWellFormed(text: string, path: string): void {
  if (!text.isWellFormed()) throw new NotPlainJson(path, 'text with half of a surrogate pair');
}

/** RFC 8785 §3.2.2.3 numbers are doubles: a larger integer has already lost digits before it came here. */
function requireExactNumber(value: number, path: string): void {
  if (!Number.isFinite(value)) throw new NotPlainJson(path, String(value));
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new NotPlainJson(path, 'an integer beyond 2^53');
}
