import { z } from 'zod';
import { requesterKinds, triggers } from './facts.ts';
import {
  type FactRoot,
  type FactType,
  factEntriesLimit,
  factEntryLength,
  factTextLength,
  factTypesOf,
} from './guardFacts.ts';
import { identityKinds, type RequestKind } from './language.ts';
import { choices, effectOf, flowSchema, flowTestsSchema } from './schema.ts';

/**
 * JSON Schemas (draft 2020-12) of what a flow may say and of what its guards read, for editors and other programs. Made
 * from the code that decides, so they cannot say something else; what a schema cannot say, `tenure flows check` does.
 */

export type JsonSchema = Readonly<Record<string, unknown>>;

const draft = 'https://json-schema.org/draft/2020-12/schema';

/** Of a flow file: `flows/flow.schema.json`. */
export function flowJsonSchema(): JsonSchema {
  return titled('A Tenure flow', publishedSchema(flowSchema));
}

/** Of a file of tests: `flows/flow-tests.schema.json`. */
export function flowTestsJsonSchema(): JsonSchema {
  return titled('Tests of a Tenure flow', publishedSchema(flowTestsSchema));
}

/** Of the facts that guards read, for each operation: `flows/facts.schema.json`. */
export function factsJsonSchema(): JsonSchema {
  const operations = Object.keys(effectOf);
  const factsOn = (operation: RequestKind) =>
    closedObject(Object.fromEntries([...factTypesOf(operation)].map(([root, type]) => [root, rootSchema(root, type)])));
  // Every other operation has the same facts.
  const shapes = new Map([
    ['publication', 'publicationFacts'],
    ['step-up', 'stepUpFacts'],
  ]);
  const of = (operation: string) => ({
    allOf: [
      { $ref: `#/$defs/${shapes.get(operation) ?? 'facts'}` },
      { type: 'object', properties: { request: { type: 'object', properties: { kind: { const: operation } } } } },
    ],
  });
  return titled('Facts that the guards of a Tenure flow read', {
    oneOf: operations.map((operation) => ({ $ref: `#/$defs/${operation}` })),
    $defs: {
      facts: factsOn('onboarding'),
      publicationFacts: factsOn('publication'),
      stepUpFacts: factsOn('step-up'),
      ...Object.fromEntries(operations.map((operation) => [operation, of(operation)])),
    },
  });
}

function titled(title: string, { $schema: _, ...schema }: JsonSchema): JsonSchema {
  return { $schema: draft, title, ...schema };
}

function publishedSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-2020-12',
    override: ({ zodSchema, jsonSchema }) => {
      const shapes = choices.get(zodSchema);
      if (shapes === undefined) return;
      jsonSchema.oneOf = shapes.map((shape) => {
        const { $schema: _, ...branch } = publishedSchema(shape);
        return branch;
      });
    },
  });
}

/** Texts that only ever are one of a few words. */
const words: Readonly<Record<string, readonly string[]>> = {
  'subject.kind': identityKinds,
  'requester.kind': requesterKinds,
  'request.kind': Object.keys(effectOf),
  'request.trigger': triggers,
};

function rootSchema(root: string, type: FactRoot): JsonSchema {
  if (typeof type === 'string') return typeSchema(root, type);
  return closedObject(
    Object.fromEntries(
      Object.entries(type).map(([field, fieldType]) => [field, typeSchema(`${root}.${field}`, fieldType)]),
    ),
  );
}

function closedObject(properties: JsonSchema): JsonSchema {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

function typeSchema(path: string, type: FactType): JsonSchema {
  const entry = { type: 'string', maxLength: factEntryLength };
  const known = words[path];
  switch (type) {
    case 'string':
      return known === undefined ? { type: 'string', maxLength: factTextLength } : { enum: known };
    case 'instant':
      return { type: 'string', format: 'date-time' };
    case 'bool':
      return { type: 'boolean' };
    case 'int':
      return { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    case 'list<string>':
      return { type: 'array', maxItems: factEntriesLimit, items: entry };
    case 'map<string, string>':
      return {
        type: 'object',
        maxProperties: factEntriesLimit,
        propertyNames: { maxLength: factEntryLength },
        additionalProperties: entry,
      };
  }
}
