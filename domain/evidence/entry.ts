import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson, type JsonObject } from './canonicalJson.ts';
import { controlsOf } from './controls.ts';
import { pseudonym, withoutPersons } from './pseudonym.ts';

/** What happened, as the ledger knows it: persons still by name, no secret anywhere. */
export interface EvidenceDraft {
  /** `request/<id>`, `identity/<id>`, `freeze/<id>` or `installation`: entries of one chain are ordered and MAC-chained. */
  readonly chain: string;
  /** `<subject>.<what happened>`, kebab-case: `credential.destroyed`. */
  readonly kind: string;
  /** The principal that did it. */
  readonly actor: string;
  readonly requestId?: string;
  readonly identityId?: string;
  readonly at: Date;
  readonly data: JsonObject;
}

/** The draft cannot become an entry; the transaction that carries it must not commit. */
export class EvidenceDraftInvalid extends Error {
  override readonly name = 'EvidenceDraftInvalid';
  constructor(draft: EvidenceDraft, reason: string) {
    super(`Evidence ${draft.kind} on chain ${draft.chain} cannot be written: ${reason}.`);
  }
}

const wireKind = /^[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)+$/;

/** One entry as it stands in a leaf, format version 1 (docs/evidence.md). Members absent when they do not apply. */
export const evidenceEntrySchema = z.strictObject({
  version: z.literal(1),
  installation: z.string().min(1),
  chain: z.string().min(1),
  position: z.int().nonnegative(),
  at: z.iso.datetime({ precision: 3 }),
  kind: z.string().regex(wireKind),
  actor: z.string().min(1),
  requestId: z.string().min(1).optional(),
  identityId: z.string().min(1).optional(),
  data: z.record(z.string(), z.json()),
  controls: z.array(z.string()),
});
export type EvidenceEntry = z.infer<typeof evidenceEntrySchema>;

/**
 * The exact text of a leaf: RFC 8785 form of the entry, persons by pseudonym (`actor`, and every address in `data`).
 * @param position its place in the chain, from 0
 * @throws EvidenceDraftInvalid, NotPlainJson: nothing may be recorded half
 */
export function entryBody(
  draft: EvidenceDraft,
  place: { readonly installation: string; readonly position: number; readonly personKey: KeyObject },
): string {
  if (draft.chain === '') throw new EvidenceDraftInvalid(draft, 'it names no chain');
  if (draft.actor === '') throw new EvidenceDraftInvalid(draft, 'it names no actor');
  if (!wireKind.test(draft.kind)) throw new EvidenceDraftInvalid(draft, 'a kind is words in kebab-case joined by dots');
  if (Number.isNaN(draft.at.getTime())) throw new EvidenceDraftInvalid(draft, 'its time is not a valid date');
  return canonicalJson({
    version: 1,
    installation: place.installation,
    chain: draft.chain,
    position: place.position,
    at: draft.at.toISOString(),
    kind: draft.kind,
    actor: pseudonym(place.personKey, draft.actor),
    ...(draft.requestId === undefined ? {} : { requestId: draft.requestId }),
    ...(draft.identityId === undefined ? {} : { identityId: draft.identityId }),
    data: withoutPersons(place.personKey, draft.data),
    controls: controlsOf(draft.kind),
  });
}
