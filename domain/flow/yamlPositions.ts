import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseDocument, type Scalar } from 'yaml';

/** Reads the YAML of a flow file into plain JSON values, and knows where in the text each of them stands. */

/** Characters of a flow file. */
export const sourceLimit = 256 * 1024;
/** Levels of maps and lists in one another; the language itself needs nine. */
export const depthLimit = 16;

export type YamlPath = readonly (string | number)[];

/** A mistake in the text, at a UTF-16 offset from its start. */
export interface YamlError {
  readonly offset: number;
  readonly reason: string;
  readonly path: YamlPath;
}

export interface YamlTree {
  /** Maps, lists, texts, whole numbers, true, false and null only. */
  readonly value: unknown;
  readonly errors: readonly YamlError[];
  /** Where the value at this path starts; for a path that is not there, its nearest parent's key. */
  offsetOf(path: YamlPath): number;
  /** Where the key of this path starts; the value, when it has none. */
  offsetOfKey(path: YamlPath): number;
  /** Where a character of the text at this path stands: exact unless the text has escapes, then at least its line. */
  offsetWithin(path: YamlPath, textOffset: number): number;
}

/**
 * Reads one YAML 1.2 document (core schema). Refused, each at its place and all at once: syntax errors, a second document,
 * directives, anchors, aliases, tags, duplicate or reserved keys, numbers that are not whole, invisible characters, and
 * more than `sourceLimit` or `depthLimit`. Never throws.
 */
export function readYaml(source: string): YamlTree {
  if (source.length > sourceLimit) {
    return treeOf(source, undefined, new Map(), [
      { offset: 0, path: [], reason: `the file has ${source.length} characters, more than ${sourceLimit}` },
    ]);
  }
  const deep = tooDeepAt(source);
  if (deep !== undefined)
    return treeOf(source, undefined, new Map(), [
      { offset: deep, path: [], reason: `nested more than ${depthLimit} levels deep` },
    ]);
  const errors: YamlError[] = invisibleCharacters(source).map((error) => ({ ...error, path: [] }));
  const document = parseDocument(source, {
    version: '1.2',
    schema: 'core',
    merge: false,
    strict: true,
    stringKeys: true,
    // Checked in `convert` with a set: the library compares each key with each.
    uniqueKeys: false,
    prettyErrors: false,
    // Never 'silent': that also hides a second document.
    logLevel: 'error',
    lineCounter: new LineCounter(),
  });
  // A warning about an unknown tag says no more than the refusal of all tags in `convert`.
  const warnings = document.warnings.filter(({ code }) => code !== 'TAG_RESOLVE_FAILED');
  for (const { code, message, pos } of [...document.errors, ...warnings]) {
    errors.push({ offset: pos[0], path: [], reason: syntaxReason(code, message) });
  }
  if (document.directives?.yaml.explicit === true || Object.keys(document.directives?.tags ?? {}).length > 1) {
    errors.push({ offset: 0, path: [], reason: 'directives (%) are not allowed: a flow is always YAML 1.2' });
  }
  const places: Places = new Map();
  const value = document.errors.length > 0 ? undefined : convert(document.contents, [], { source, places, errors });
  return treeOf(source, value, places, errors);
}

/** Tokens of the lexer that stand for no character: the start of a document, of a scalar, and an error in flow style. */
const marks: readonly string[] = ['\u0002', '\u0018', '\u001f'];

/**
 * Where more brackets are open, or more `-` and `?` stand in a row, than any flow needs. Asked before the text is parsed,
 * which takes seconds for some ten thousand of them. Nesting by indentation costs more text the deeper it goes.
 */
function tooDeepAt(source: string): number | undefined {
  let [offset, open, inRow, before] = [0, 0, 0, ''];
  for (const token of new Lexer().lex(source)) {
    const isText = before === '\u001f';
    before = token;
    if (marks.includes(token)) continue;
    if (!isText && (token === '[' || token === '{')) open += 1;
    else if (!isText && (token === ']' || token === '}')) open -= 1;
    if (!isText && (token === '-' || token === '?')) inRow += 1;
    else if (token.trim() !== '') inRow = 0;
    if (Math.max(open, inRow) > depthLimit) return offset;
    offset += token.length;
  }
  return undefined;
}

type Places = Map<string, { readonly node: Node | null; readonly keyOffset?: number }>;

interface Conversion {
  readonly source: string;
  readonly places: Places;
  readonly errors: YamlError[];
}

function convert(node: unknown, path: YamlPath, conversion: Conversion): unknown {
  const refuse = (reason: string): undefined => {
    conversion.errors.push({ offset: startOf(node) ?? 0, path, reason });
  };
  if (node === null || node === undefined) return null;
  if (isAlias(node)) return refuse('aliases (*) are not allowed: write the value out, so that each place reads alone');
  if (path.length >= depthLimit) return refuse(`nested more than ${depthLimit} levels deep`);
  if (!isMap(node) && !isSeq(node) && !isScalar(node)) return refuse('not a value');
  if (node.anchor !== undefined) refuse('anchors (&) are not allowed: nothing may refer to them');
  if (node.tag !== undefined) return refuse(`tags (${node.tag.slice(0, 40)}) are not allowed`);
  if (isScalar(node)) return convertScalar(node, refuse);
  if (isSeq(node)) {
    return node.items.map((item, index) => {
      const itemPath = [...path, index];
      conversion.places.set(keyOf(itemPath), { node: item as Node | null });
      return convert(item, itemPath, conversion);
    });
  }
  const entries = new Map<string, unknown>();
  for (const { key, value } of node.items) {
    if (!isScalar(key) || typeof key.value !== 'string') {
      conversion.errors.push({ offset: startOf(key) ?? 0, path, reason: 'keys are plain words' });
      continue;
    }
    const word = key.value;
    const valuePath = [...path, word];
    const refuseKey = (reason: string): void => {
      conversion.errors.push({ offset: startOf(key) ?? 0, path: valuePath, reason });
    };
    const [hidden] = invisibleCharacters(word);
    if (hidden !== undefined) refuseKey(hidden.reason);
    if (key.anchor !== undefined || key.tag !== undefined) refuseKey('keys take no anchors or tags');
    if (entries.has(word)) refuseKey(`'${shown(word)}' is here twice`);
    if (word === '__proto__' || word === 'constructor' || word === 'prototype') refuseKey(`'${word}' cannot be a key`);
    const keyOffset = startOf(key);
    conversion.places.set(keyOf(valuePath), {
      node: value as Node | null,
      ...(keyOffset !== undefined && { keyOffset }),
    });
    entries.set(word, convert(value, valuePath, conversion));
  }
  // Defines own properties only, whatever the keys are called.
  return Object.fromEntries(entries);
}

function convertScalar(scalar: Scalar, refuse: (reason: string) => undefined): unknown {
  const { value } = scalar;
  if (typeof value === 'string') {
    // The source has none (checked there): these came in by an escape.
    const [hidden] = invisibleCharacters(value);
    return hidden === undefined ? value : refuse(hidden.reason);
  }
  if (typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  return refuse('numbers are whole and below 2^53; quote it if it is text');
}

/** Control characters, direction marks and zero-width letters: what a reviewer cannot see must not be there. */
const invisible = /(?![\t\n\r ])[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;

function invisibleCharacters(text: string): { offset: number; reason: string }[] {
  return Array.from(text.matchAll(invisible)).map((match) => {
    const code = (match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return { offset: match.index, reason: `the character U+${code} cannot be seen: remove it` };
  });
}

function syntaxReason(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a file holds one flow: a second document (---) begins here';
  if (/call stack/.test(message)) return `nested more than ${depthLimit} levels deep`;
  return `not valid YAML: ${shown(message, 160)}`;
}

const shown = (text: string, limit = 40): string => (text.length > limit ? `${text.slice(0, limit)}…` : text);

const keyOf = (path: YamlPath): string => JSON.stringify(path);

function startOf(node: unknown): number | undefined {
  if (!isMap(node) && !isSeq(node) && !isScalar(node) && !isAlias(node)) return undefined;
  return node.range?.[0];
}

function treeOf(source: string, value: unknown, places: Places, errors: readonly YamlError[]): YamlTree {
  const offsetOfKey = (path: YamlPath): number => {
    for (let length = path.length; length > 0; length--) {
      const place = places.get(keyOf(path.slice(0, length)));
      const offset = place?.keyOffset ?? startOf(place?.node);
      if (offset !== undefined) return offset;
    }
    return 0;
  };
  const offsetOf = (path: YamlPath): number => startOf(places.get(keyOf(path))?.node) ?? offsetOfKey(path);
  return {
    value,
    errors,
    offsetOf,
    offsetOfKey,
    offsetWithin(path, textOffset) {
      const node = places.get(keyOf(path))?.node;
      return isScalar(node) ? offsetInScalar(source, node, textOffset) : offsetOf(path);
    },
  };
}

/** Follows the text of a scalar through its notation: quotes, block header, indentation, folded lines. */
function offsetInScalar(source: string, scalar: Scalar, textOffset: number): number {
  const [start, end] = scalar.range ?? [0, 0];
  const text = String(scalar.value);
  const isBlock = scalar.type === 'BLOCK_LITERAL' || scalar.type === 'BLOCK_FOLDED';
  const isQuoted = scalar.type === 'QUOTE_SINGLE' || scalar.type === 'QUOTE_DOUBLE';
  const from = isBlock ? source.indexOf('\n', start) + 1 : start + (isQuoted ? 1 : 0);
  if (source.startsWith(text, from)) return from + textOffset;

  // Lines of the text, or the parts that folding joined, each follow the indentation of their line in the source.
  let consumed = 0;
  let lineStart = from;
  for (const line of source.slice(from, end).split('\n')) {
    const indent = line.length - line.trimStart().length;
    const length = line.trim().length;
    if (textOffset <= consumed + length) return Math.min(lineStart + indent + textOffset - consumed, end);
    consumed += length + 1;
    lineStart += line.length + 1;
  }
  return Math.max(start, end - 1);
}

/** Line and column, both from 1, of a UTF-16 offset. */
export function positionOf(source: string, offset: number): { line: number; column: number } {
  const before = source.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: offset - lineStart + 1 };
}

/** The value at a path of a tree read here; undefined when the path leads nowhere. */
export function valueAt(value: unknown, path: YamlPath): unknown {
  let reached = value;
  for (const step of path) {
    if (typeof reached !== 'object' || reached === null || !Object.hasOwn(reached, step)) return undefined;
    reached = Reflect.get(reached, step);
  }
  return reached;
}
