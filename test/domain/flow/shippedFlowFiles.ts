import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Flow } from '../../../domain/flow/language.ts';
import { parseFlow } from '../../../domain/flow/parse.ts';

/** Where the flows are that an installation starts with. */
export const shippedDirectory = join(import.meta.dirname, '../../../flows');

/** All of them, in the order of their files. */
export const shippedFlows: readonly Flow[] = readdirSync(shippedDirectory)
  .filter((file) => file.endsWith('.flow.yaml'))
  .map((file) => {
    const parsed = parseFlow(readFileSync(join(shippedDirectory, file), 'utf8'), file);
    if (!parsed.ok) throw new Error(`${file} is broken`);
    return parsed.flow;
  });
