import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';

/** A parsed YAML file that still knows where each value stands. */
export interface YamlSource {
  readonly value: unknown;
  readonly syntaxProblems: readonly string[];
  /** `file:line:column` of the value at `path`, or of its nearest enclosing one. */
  placeOf(path: readonly PropertyKey[]): string;
  /** `file:line:column` of the key `key` in the map at `path`. */
  placeOfKey(path: readonly PropertyKey[], key: string): string;
}

/** Parses YAML 1.2 (core schema): duplicate keys, merge keys and custom tags are errors; aliases are bounded by the parser. */
export function openYaml(file: string, text: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    version: '1.2',
    prettyErrors: false,
  });
  const placeAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const placeOf = (path: readonly PropertyKey[]): string => {
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return placeAt(node.range[0]);
    }
    return `${file}:1:1`;
  };
  return {
    value: document.errors.length > 0 ? undefined : document.toJS({ maxAliasCount: 100 }),
    syntaxProblems: [...document.errors, ...document.warnings].map(
      (error) => `${placeAt(error.pos[0])}: ${error.message}`,
    ),
    placeOf,
    placeOfKey(path, key) {
      const map = path.length === 0 ? document.contents : document.getIn(path, true);
      const pair = isMap(map)
        ? map.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
        : undefined;
      return isScalar(pair?.key) && pair.key.range ? placeAt(pair.key.range[0]) : placeOf(path);
    },
  };
}
