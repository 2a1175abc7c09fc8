import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import { type CheckpointResponse, checkpointResponseSchema, evidencePageSchema } from '../contracts/evidence.ts';
import { type Checkpoint, openCheckpoint } from '../domain/evidence/checkpoint.ts';
import { ExportCheck, type ExportReport } from '../domain/evidence/exportCheck.ts';
import { NoteInvalid, parseVerifierKey } from '../domain/evidence/signedNote.ts';
import { type ApiAccess, callApi } from './apiCalls.ts';
import { exportFiles } from './evidenceFiles.ts';
import { CommandFailed } from './exitCodes.ts';

export interface ExportOrder extends ApiAccess {
  readonly directory: string;
}

const pageLimit = 200;

/**
 * Fetches the log up to its newest checkpoint into `directory`, and verifies it on the way. Nothing is overwritten: an
 * export is itself evidence. The checkpoint and the key appear last, so a broken-off export is not taken for a whole one.
 * @throws CommandFailed when the directory holds an export, or the API does not answer as it should
 */
export async function exportEvidence(order: ExportOrder): Promise<ExportReport> {
  const files = exportFiles(order.directory);
  for (const file of Object.values(files)) {
    if (existsSync(file))
      throw new CommandFailed('usage', `${file} exists: exports are kept, not overwritten. Name another directory.`);
  }
  const published = await callApi(order, { path: '/v1/evidence/checkpoints' }, checkpointResponseSchema);
  const checkpoint = openPublished(published);
  const check = new ExportCheck(checkpoint);
  await mkdir(order.directory, { recursive: true });
  const unfinished = `${files.entries}.unfinished`;
  await pipeline(Readable.from(exportedLines(order, checkpoint.size, check)), createWriteStream(unfinished));
  await rename(unfinished, files.entries);
  await writeFile(files.vkey, `${published.vkey}\n`);
  await writeFile(files.checkpoint, published.note);
  return check.finish();
}

function openPublished({ note, vkey }: CheckpointResponse): Checkpoint {
  try {
    return openCheckpoint(note, parseVerifierKey(vkey));
  } catch (error) {
    if (!(error instanceof NoteInvalid)) throw error;
    throw new CommandFailed('checkFailed', `The checkpoint that the API gave does not verify: ${error.message}`, {
      cause: error,
    });
  }
}

async function* exportedLines(order: ExportOrder, size: number, check: ExportCheck): AsyncGenerator<string> {
  let next = 0;
  let cursor: string | null = null;
  while (next < size) {
    const query = new URLSearchParams({ limit: String(pageLimit), ...(cursor === null ? {} : { cursor }) });
    const page: z.output<typeof evidencePageSchema> = await callApi(
      order,
      { path: `/v1/evidence?${query}` },
      evidencePageSchema,
    );
    for (const { leafIndex, body } of page.items) {
      if (next === size) return;
      if (leafIndex !== next || body.includes('\n')) {
        throw new CommandFailed(
          'checkFailed',
          `The API gave entry ${leafIndex} where entry ${next} must follow, one line each: its log is not whole.`,
        );
      }
      check.line(Buffer.from(body));
      yield `${body}\n`;
      next++;
    }
    cursor = page.nextCursor;
    if (cursor === null) break;
  }
  if (next < size)
    throw new CommandFailed(
      'checkFailed',
      `The checkpoint covers ${size} entries, but the API gave only ${next}: its log is not whole.`,
    );
}
