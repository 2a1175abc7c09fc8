import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type RequestBundleResponse, requestBundleResponseSchema } from '../contracts/evidence.ts';
import type { BundleReport } from '../domain/evidence/bundleCheck.ts';
import { type ApiAccess, callApi } from './apiCalls.ts';
import { bundleFiles } from './evidenceFiles.ts';
import { type VerificationImpossible, verifyBundle } from './evidenceVerify.ts';
import { CommandFailed } from './exitCodes.ts';

type Proven = RequestBundleResponse['entries'];

/**
 * Fetches the evidence of one request into `directory`, all of it under one checkpoint, and verifies it as it will be later.
 * Nothing is overwritten. @throws CommandFailed when the directory holds something, or the API does not answer as it should
 */
export async function fetchRequestEvidence(
  order: ApiAccess & { readonly requestId: string; readonly directory: string },
): Promise<BundleReport | VerificationImpossible> {
  const { requestId, directory } = order;
  const files = bundleFiles(directory);
  for (const file of Object.values(files)) {
    if (existsSync(file))
      throw new CommandFailed('usage', `${file} exists: evidence is kept, not overwritten. Name another directory.`);
  }
  const first = await page(order, null);
  const told: Proven[number][] = [...first.entries];
  for (let cursor = first.nextCursor; cursor !== null; ) {
    const next = await page(order, cursor);
    if (next.head !== first.head)
      throw new CommandFailed('checkFailed', `The API gave pages of request ${requestId} under different heads.`);
    told.push(...next.entries);
    cursor = next.nextCursor;
  }
  const entries = [...first.keys, ...told].sort((one, other) => one.leafIndex - other.leafIndex);
  await mkdir(directory, { recursive: true });
  await writeFile(files.entries, entries.map(({ body }) => `${body}\n`).join(''));
  const proofs = entries.map(({ leafIndex, hashes }) => `${JSON.stringify({ leafIndex, hashes })}\n`);
  await writeFile(files.proofs, proofs.join(''));
  await writeFile(files.vkey, `${first.checkpoint.vkey}\n`);
  await writeFile(files.checkpoint, first.checkpoint.note);
  await writeFile(files.head, first.head);
  return verifyBundle({ directory });
}

function page(
  order: ApiAccess & { readonly requestId: string },
  cursor: string | null,
): Promise<RequestBundleResponse> {
  const query = new URLSearchParams({ limit: '200', ...(cursor === null ? {} : { cursor }) });
  const path = `/v1/evidence/requests/${encodeURIComponent(order.requestId)}?${query}`;
  return callApi(order, { path }, requestBundleResponseSchema);
}
