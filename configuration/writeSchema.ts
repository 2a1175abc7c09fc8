import { writeFileSync } from 'node:fs';
import { configurationJsonSchema } from './configurationSchema.ts';

/** `node configuration/writeSchema.ts`: publishes the JSON Schema of tenure.yaml beside its source. */
writeFileSync(new URL('schema.json', import.meta.url), `${JSON.stringify(configurationJsonSchema(), null, 2)}\n`);
