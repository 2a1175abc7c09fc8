import type { z } from 'zod';
import { flowDigest } from './digest.ts';
import { exceptionRules } from './exceptionRules.ts';
import {
  type BrokenRule,
  brokenRules,
  type FlowSketch,
  guardRules,
  guardRulesBeforeRisk,
  testRules,
} from './flowRules.ts';
import {
  type Flow,
  type FlowTest,
  identityKinds,
  type RequestKind,
  readableVersions,
  requestKinds,
} from './language.ts';
import { nearestWord } from './nearestWord.ts';
import {
  effectOf,
  exceptionSchema,
  flowSchema,
  flowTestsSchema,
  limitsSchema,
  stageSchema,
  testSchema,
} from './schema.ts';
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

export type ParsedFlowTests =
  | { readonly ok: true; readonly flow: Flow; readonly tests: readonly FlowTest[] }
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
  const read = readDocument(source, file, 'flow');
  if ('errors' in read) return { ok: false, errors: read.errors };
  const { tree } = read;
  const parsed = flowSchema.safeParse(tree.value);
  const sketch = sketchOf(tree.value);
  const rules = [...guardMistakes(tree), ...brokenRules(sketch), ...exceptionRules(sketch)];
  const errors = mistakesIn(read, file, { issues: parsed.error?.issues ?? [], rules });
  if (!parsed.success || errors.length > 0) return { ok: false, errors };
  return { ok: true, flow: parsed.data, digest: flowDigest(parsed.data) };
}

/**
 * Reads a file of tests, to the same standard as `parseFlow`.
 * @param flows those that it may be about: that one's stages are what its tests may name
 * @returns the flow that it names and the tests, or all mistakes found
 */
export function parseFlowTests(source: string, file: string, flows: readonly Flow[]): ParsedFlowTests {
  const read = readDocument(source, file, 'tests');
  if ('errors' in read) return { ok: false, errors: read.errors };
  const { tree } = read;
  const parsed = flowTestsSchema.safeParse(tree.value);
  const named = valueAt(tree.value, ['flow']);
  const [flow, ...others] = flows.filter(({ metadata }) => metadata.name === named);
  const tests = listAt(tree.value, 'tests').map((flowTest) => testSchema.safeParse(flowTest).data);
  const rules = [
    ...(flow === undefined ? noSuchFlow(named, flows) : testRules({ on: flow.on, stages: flow.stages, tests })),
    ...(others.length === 0
      ? []
      : [{ path: ['flow'], reason: 'several flows of this name were read: read one of them' }]),
  ];
  const errors = mistakesIn(read, file, { issues: parsed.error?.issues ?? [], rules });
  if (!parsed.success || flow === undefined || errors.length > 0) return { ok: false, errors };
  return { ok: true, flow, tests: parsed.data.tests };
}

function noSuchFlow(named: unknown, flows: readonly Flow[]): readonly BrokenRule[] {
  if (typeof named !== 'string') return [];
  const suggestion = nearestWord(
    named,
    flows.map(({ metadata }) => metadata.name),
  );
  const reason = 'no flow of this name was read together with these tests, or that flow has mistakes of its own';
  return [{ path: ['flow'], reason, ...(suggestion !== undefined && { suggestion }) }];
}

interface ReadDocument {
  readonly source: string;
  readonly tree: YamlTree;
}

/** Reads a document of this language. One that is not of it is told alone, for what else is in the file was written by other rules. */
export function readDocument(
  source: string,
  file: string,
  what: string,
): ReadDocument | { errors: readonly FlowError[] } {
  const tree = readYaml(source);
  if (tree.value === undefined) return { errors: located(source, file, tree.errors) };
  if (tree.value === null) {
    const empty = { offset: 0, reason: `the file holds no ${what}`, path: [] };
    return { errors: located(source, file, [...tree.errors, empty]) };
  }
  const path = ['apiVersion'];
  const version = valueAt(tree.value, path);
  if (
    typeof version !== 'string' ||
    !/^tenure\/v\d/.test(version) ||
    readableVersions.some((known) => known === version)
  )
    return { source, tree };
  const reason = `this release reads ${readableVersions.join(', ')}, not ${version.slice(0, 40)}: run the release that the file was written for, or write it anew in a version read here`;
  return { errors: located(source, file, [{ offset: tree.offsetOf(path), path, reason }]) };
}

/** All mistakes of a document: of its text, its shape (`issues`) and its `rules`, each at its place. */
export function mistakesIn(
  { source, tree }: ReadDocument,
  file: string,
  { issues, rules }: { issues: readonly z.core.$ZodIssue[]; rules: readonly BrokenRule[] },
): readonly FlowError[] {
  const found = [...issues.flatMap((issue) => mistakesOf(issue, tree)), ...rules.map((rule) => placed(rule, tree))];
  // What could not be read is told once, not again as missing.
  const unread = tree.errors.map(({ path }) => path);
  const further = found.filter((mistake) => !unread.some((path) => isWithin(mistake.path, path)));
  return located(source, file, [...tree.errors, ...further]);
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
  const on = operationAt(tree.value, ['on']);
  const stages = listAt(tree.value, 'stages').flatMap((_stage, index): YamlPath[] => [
    ['stages', index, 'when'],
    ['stages', index, 'verify', 'that'],
  ]);
  const weights = weightsAt(tree.value).map((_weight, index): YamlPath => ['risk', 'weights', index, 'when']);
  const mistakesAt = (paths: readonly YamlPath[], rules: typeof guardRules) =>
    paths.flatMap((path) => {
      const guard = valueAt(tree.value, path);
      return typeof guard === 'string' ? rules(guard, path, on) : [];
    });
  return [...mistakesAt([['subject', 'where'], ...weights], guardRulesBeforeRisk), ...mistakesAt(stages, guardRules)];
}

/** The parts that have a valid shape, so that rules about them are checked in the same run. */
function sketchOf(value: unknown): FlowSketch {
  const kind = valueAt(value, ['subject', 'kind']);
  const limits = limitsSchema.safeParse(valueAt(value, ['limits']));
  return {
    on: operationAt(value, ['on']),
    kind: identityKinds.find((known) => known === kind),
    requestTtl: limits.data?.requestTtl,
    grantTtl: limits.data?.grantTtl,
    risks: weightsAt(value).map((weight) => {
      const because = valueAt(weight, ['because']);
      return typeof because === 'string' ? because : undefined;
    }),
    stages: listAt(value, 'stages').map((stage) => stageSchema.safeParse(stage).data),
    exceptions: listAt(value, 'exceptions').map((exception) => exceptionSchema.safeParse(exception).data),
    tests: listAt(value, 'tests').map((flowTest) => testSchema.safeParse(flowTest).data),
  };
}

/** The operation that is written there; undefined for what is none. */
export function operationAt(value: unknown, path: YamlPath): RequestKind | undefined {
  const written = valueAt(value, path);
  return requestKinds.find((kind) => kind === written && Object.hasOwn(effectOf, kind));
}
const weightsAt = (value: unknown): readonly unknown[] => listAt(valueAt(value, ['risk']), 'weights');

function listAt(value: unknown, key: string): readonly unknown[] {
  const list = valueAt(value, [key]);
  return Array.isArray(list) ? list : [];
}
