import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import {
  factsJsonSchema,
  flowJsonSchema,
  flowTestsJsonSchema,
  type JsonSchema,
} from '../../../domain/flow/jsonSchema.ts';
import { exampleFacts } from './exampleFacts.ts';
import { flowWith, soundFlow } from './flowSource.ts';

const directory = join(import.meta.dirname, '../../../flows');
const textOf = (file: string): string => readFileSync(join(directory, file), 'utf8');
const shipped = readdirSync(directory).filter((file) => file.endsWith('.flow.yaml'));

/** Judged by the schema alone, as an editor would. */
function accepts(schema: JsonSchema, value: unknown): boolean {
  return z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value).success;
}

test.each([
  ['flow.schema.json', flowJsonSchema],
  ['flow-tests.schema.json', flowTestsJsonSchema],
  ['facts.schema.json', factsJsonSchema],
])('flows/%s is what the code says now', (file, current) => {
  const published: unknown = JSON.parse(textOf(file));
  expect(published, 'run: node scripts/writeFlowSchemas.ts').toEqual(JSON.parse(JSON.stringify(current())));
});

test.each(shipped)('%s names the schema that editors check it by, and satisfies it', (file) => {
  const source = textOf(file);
  expect(source.split('\n')[0]).toBe('# yaml-language-server: $schema=./flow.schema.json');
  expect(accepts(flowJsonSchema(), parse(source))).toBe(true);
});

test.each([
  ['verify: {that', 'verfy: {that'],
  ['apiVersion: tenure/v1', 'apiVersion: tenure/v2'],
  ['onboarding', 'onbording'],
  ['from: group:security', 'from: security'],
  ['requestTtl: P3D', 'requestTtl: P1W'],
  ['count: 2', 'count: 0'],
  ['[requester, owner]', '[requester, owners]'],
  ['{score: 50}', '{scor: 50}'],
  ['decision: approve', 'decison: approve'],
  ['outcome: waiting', 'outcome: waitin'],
  ['effect: issue}', 'effect: issue, when: owner.active}'],
])('an editor marks %j written as %j', (part, replacement) => {
  expect(accepts(flowJsonSchema(), parse(soundFlow))).toBe(true);
  expect(accepts(flowJsonSchema(), parse(flowWith(part, replacement)))).toBe(false);
});

test('the facts of each operation are typed, and nothing else is one', () => {
  const schema = factsJsonSchema();
  for (const kind of ['onboarding', 'rotation', 'revocation', 'review'] as const) {
    expect(accepts(schema, { ...exampleFacts, request: { ...exampleFacts.request, kind } })).toBe(true);
  }
  expect(accepts(schema, { ...exampleFacts, risk: { score: 1.5 } })).toBe(false);
  expect(accepts(schema, { ...exampleFacts, owner: { ...exampleFacts.owner, admin: true } })).toBe(false);
  const { now: _, ...without } = exampleFacts;
  expect(accepts(schema, without)).toBe(false);
});
