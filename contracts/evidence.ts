import { z } from 'zod';

/** What the API answers about evidence; `tenure evidence export` reads the same schemas. Hashes are base64 (RFC 4648 §4). */

const count = z.int().nonnegative();
const hash = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

/** GET /v1/evidence: sealed entries in the order of the log, which never changes behind a cursor. */
export const evidencePageSchema = z.object({
  items: z.array(z.object({ leafIndex: count, body: z.string() })),
  nextCursor: z.string().nullable(),
});
export type EvidencePage = z.infer<typeof evidencePageSchema>;

/** GET /v1/evidence/checkpoints: the newest one. `note` is C2SP tlog-checkpoint, `vkey` the note key that verifies it. */
export const checkpointResponseSchema = z.object({ size: count, note: z.string(), vkey: z.string() });
export type CheckpointResponse = z.infer<typeof checkpointResponseSchema>;

/** GET /v1/evidence/proofs?index=&size=: RFC 6962 inclusion. */
export const inclusionProofResponseSchema = z.object({ index: count, size: count, hashes: z.array(hash) });
export type InclusionProofResponse = z.infer<typeof inclusionProofResponseSchema>;

/** GET /v1/evidence/proofs?from=&to=: RFC 6962 consistency. */
export const consistencyProofResponseSchema = z.object({ from: count, to: count, hashes: z.array(hash) });
export type ConsistencyProofResponse = z.infer<typeof consistencyProofResponseSchema>;

const provenEntries = z.array(z.object({ leafIndex: count, body: z.string(), hashes: z.array(hash) }));

/** GET /v1/evidence/requests/{id}: everything about one request, provable offline against one checkpoint, a page at a time. */
export const requestBundleResponseSchema = z.object({
  requestId: z.string(),
  checkpoint: checkpointResponseSchema,
  /** The signed note that says how many entries there are (docs/evidence.md, Bundles). */
  head: z.string(),
  /** The log's decision keys. */
  keys: provenEntries,
  entries: provenEntries,
  /** Committed entries of this request that the checkpoint does not cover yet. */
  unsealed: count,
  nextCursor: z.string().nullable(),
});
export type RequestBundleResponse = z.infer<typeof requestBundleResponseSchema>;
