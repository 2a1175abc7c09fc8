import { flowDigest } from './digest.ts';
import { type BrokenRule, brokenRules, type FlowSketch, guardRules } from './flowRules.ts';
import type { Flow, RequestKind } from './language.ts';
import { effectOf, flowSchema, limitsSchema, stageSchema, testSchema } from './schema.ts';
import { type Mistake, mistakesOf } from './schemaMistakes.ts';
import { positionOf, readYaml, valueAt, type YamlPath, type YamlTree } from './yamlPositions.ts';

/** A mistake in a flow file, where it is, and what to write instead where that can be guessed. */
export interface FlowError {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  readonly reason: string;
  /** Such as `stages[2].approval.timeout`; empty for the file as a whole. */
  readonly path: string;
  readonly suggestion?: string;
}

export type ParsedFlow =
  | { readonly ok: true; readonly flow: Flow; readonly digest: string }
  | { readonly ok: false; readonly errors: readonly FlowError[] };

/** Mistakes shown for one file; with more, the file is not what it is taken for. */
const errorLimit = 50;

/**
 * Reads a flow file: YAML 1.2 as `yamlPositions.ts` allows it, in the shape of `schema.ts`, by the rules of `flowRules.ts`,
 * with every guard compiled. Defaults are filled in, so that the digest names what will run. Never throws, whatever the
 * source holds; nothing of a broken file is used.
 * @param file the name that errors show
 * @returns the flow and its digest, or all mistakes found, in the order of the file
 */
export function parseFlow(source: string, file: string): ParsedFlow {
  const tree = readYaml(source);
  if (tree.value === undefined) return { ok: false, errors: located(source, file, tree.errors) };
  if (tree.value === null) {
    const empty = { offset: 0, reason: 'the file holds no flow', path: [] };
    return { ok: false, errors: located(source, file, [...tree.errors, empty]) };
  }
  const parsed = flowSchema.safeParse(tree.value);
  const issues = parsed.success ? [] : parsed.error.issues.flatMap((issue) => mistakesOf(issue, tree));
  const broken = [...guardMistakes(tree), ...brokenRules(sketchOf(tree.value))].map((rule) => placed(rule, tree));
  // What could not be read is told once, not again as missing.
  const unread = tree.errors.map(({ path }) => path);
  const further = [...issues, ...broken].filter((mistake) => !unread.some((path) => isWithin(mistake.path, path)));
  if (!parsed.success || broken.length > 0 || tree.errors.length > 0) {
    return { ok: false, errors: located(source, file, [...tree.errors, ...further]) };
  }
  return { ok: true, flow: parsed.data, digest: flowDigest(parsed.data) };
}

function isWithin(path: YamlPath, outer: YamlPath): boolean {
  return outer.length > 0 && outer.every((step, index) => step === path[index]);
}

function located(source: string, file: string, mistakes: readonly Mistake[]): readonly FlowError[] {
  const inOrder = [...mistakes].sort((one, other) => one.offset - other.offset);
  const shown = inOrder.slice(0, errorLimit).map(({ offset, reason, path, suggestion }) => ({
    file,
    ...positionOf(source, offset),
    reason,
    path: pathText(path),
    ...(suggestion !== undefined && { suggestion }),
  }));
  const more = inOrder[errorLimit];
  if (more === undefined) return shown;
  return [
    ...shown,
    { file, ...positionOf(source, more.offset), path: '', reason: `and ${inOrder.length - errorLimit} more mistakes` },
  ];
}

function pathText(path: YamlPath): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`))
    .join('');
}

function placed({ path, textOffset, reason, suggestion }: BrokenRule, tree: YamlTree): Mistake {
  const offset = textOffset === undefined ? tree.offsetOf(path) : tree.offsetWithin(path, textOffset);
  return { offset, reason, path, ...(suggestion !== undefined && { suggestion }) };
}

/** Every guard of the file, also when other parts of it have no valid shape. */
function guardMistakes(tree: YamlTree): readonly BrokenRule[] {
  const stages = valueAt(tree.value, ['stages']);
  const paths: YamlPath[] = [['subject', 'where']];
  for (const index of Array.isArray(stages) ? stages.keys() : []) {
    paths.push(['stages', index, 'when'], ['stages', index, 'verify', 'that']);
  }
  return paths.flatMap((path) => {
    const guard = valueAt(tree.value, path);
    return typeof guard === 'string' ? guardRules(guard, path) : [];
  });
}

/** The parts that have a valid shape, so that rules about them are checked in the same run. */
function sketchOf(value: unknown): FlowSketch {
  const on = valueAt(value, ['on']);
  return {
    on: Object.keys(effectOf).includes(String(on)) ? (on as RequestKind) : undefined,
    requestTtl: limitsSchema.safeParse(valueAt(value, ['limits'])).data?.requestTtl,
    stages: listAt(value, 'stages').map((stage) => stageSchema.safeParse(stage).data),
    tests: listAt(value, 'tests').map((flowTest) => testSchema.safeParse(flowTest).data),
  };
}

function listAt(value: unknown, key: string): readonly unknown[] {
  const list = valueAt(value, [key]);
  return Array.isArray(list) ? list : [];
}
