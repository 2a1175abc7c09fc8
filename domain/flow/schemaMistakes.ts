import type { z } from 'zod';
import { nearestWord } from './nearestWord.ts';
import { valueAt, type YamlPath, type YamlTree } from './yamlPositions.ts';

/** Something wrong at an offset of the source. */
export interface Mistake {
  readonly offset: number;
  readonly reason: string;
  readonly path: YamlPath;
  readonly suggestion?: string;
}

/** What a schema issue means to the author of the file, at the key or value that must change. */
export function mistakesOf(issue: z.core.$ZodIssue, tree: YamlTree): readonly Mistake[] {
  const path: YamlPath = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const value = valueAt(tree.value, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      // `closed` of schema.ts makes the message the list of keys that are known there.
      return issue.keys.map((key) => {
        const keyPath = [...path, key];
        const reason = `there is no '${shortened(key)}' here; known are ${issue.message}`;
        return mistake(tree.offsetOfKey(keyPath), reason, keyPath, nearestWord(key, issue.message.split(', ')));
      });
    case 'invalid_type': {
      if (value === undefined)
        return [mistake(tree.offsetOf(path), `'${String(path.at(-1) ?? 'the flow')}' is missing`, path)];
      return [
        mistake(tree.offsetOf(path), `must be ${words[issue.expected] ?? issue.expected}, not ${kindOf(value)}`, path),
      ];
    }
    case 'invalid_value': {
      if (value === undefined)
        return [
          mistake(
            tree.offsetOf(path),
            `'${String(path.at(-1))}' is missing; it is one of ${issue.values.join(', ')}`,
            path,
          ),
        ];
      const known = issue.values.map(String);
      const reason = known.length === 1 ? `must be ${known[0]}` : `must be one of ${known.join(', ')}`;
      return [
        mistake(tree.offsetOf(path), reason, path, typeof value === 'string' ? nearestWord(value, known) : undefined),
      ];
    }
    case 'invalid_key':
      return issue.issues.map(({ message }) => mistake(tree.offsetOfKey(path), message, path));
    case 'custom': {
      const suggestion: unknown = issue.params?.['suggestion'];
      return [
        mistake(tree.offsetOf(path), issue.message, path, typeof suggestion === 'string' ? suggestion : undefined),
      ];
    }
    default:
      return [mistake(tree.offsetOf(path), issue.message, path)];
  }
}

function mistake(offset: number, reason: string, path: YamlPath, suggestion?: string): Mistake {
  return { offset, reason, path, ...(suggestion !== undefined && { suggestion }) };
}

const words: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a whole number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
};

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  return Array.isArray(value) ? 'a list' : (words[typeof value] ?? 'that');
}

function shortened(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40)}…` : key;
}
