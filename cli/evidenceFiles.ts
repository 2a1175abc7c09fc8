import { join } from 'node:path';

/** The three files of an export (docs/evidence.md). */
export function exportFiles(directory: string): { entries: string; checkpoint: string; vkey: string } {
  return {
    entries: join(directory, 'entries.jsonl'),
    checkpoint: join(directory, 'checkpoint'),
    vkey: join(directory, 'vkey'),
  };
}

/** The five files of one request's evidence: as an export, with a proof for each line, and the signed end of the chain. */
export function bundleFiles(directory: string): ReturnType<typeof exportFiles> & { proofs: string; head: string } {
  return { ...exportFiles(directory), proofs: join(directory, 'proofs.jsonl'), head: join(directory, 'head') };
}

const newline = 0x0a;

/**
 * The lines of a byte stream without their newlines, as the exact bytes: decoding would replace what is not UTF-8, and a
 * leaf is its bytes. What follows the last newline is a line too, unless it is empty.
 */
export async function* byteLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let begun: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      yield Buffer.concat([...begun, chunk.subarray(start, end)]);
      begun = [];
      start = end + 1;
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}
