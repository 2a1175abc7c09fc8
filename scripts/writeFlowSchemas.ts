import { writeFileSync } from 'node:fs';
import { factsJsonSchema, flowJsonSchema, flowTestsJsonSchema } from '../domain/flow/jsonSchema.ts';

/** `node scripts/writeFlowSchemas.ts`: publishes the JSON Schemas of flows, of their tests and of the facts beside the flows. */
for (const [name, schema] of [
  ['flow', flowJsonSchema()],
  ['flow-tests', flowTestsJsonSchema()],
  ['facts', factsJsonSchema()],
] as const) {
  writeFileSync(new URL(`../flows/${name}.schema.json`, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);
}
