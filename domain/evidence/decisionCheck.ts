import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { z } from 'zod';
import { digestOfCaseFile } from '../caseFile.ts';
import { canonicalJson, type JsonObject } from './canonicalJson.ts';
import type { EvidenceEntry } from './entry.ts';

/** How many decisions were verified, and how many a third party cannot verify: signed over a person whom evidence does not name. */
export interface DecisionCounts {
  readonly verified: number;
  readonly notVerifiable: number;
  /** Of those, the ones behind a decision key: only a process of the earlier release, beside an upgraded one, makes such. */
  readonly notVerifiableSince: number;
}

const keyData = z.object({ keyId: z.string(), publicKey: z.string() });
const caseFileData = z.object({
  digest: z.string(),
  caseFile: z.looseObject({ requestId: z.string(), revision: z.int(), stage: z.string() }),
});
const decisionData = z.looseObject({
  version: z.literal(2),
  requestId: z.string(),
  approverId: z.string(),
  stage: z.string(),
  revision: z.int(),
  verdict: z.enum(['approve', 'deny', 'confirm', 'withdraw']),
  digest: z.string(),
  keyId: z.string(),
  signature: z.string(),
});

/** Which verdicts an entry of this kind may tell of. */
const verdictsOf: Readonly<Record<string, readonly string[]>> = {
  'decision.recorded': ['approve', 'deny'],
  'proof.recorded': ['confirm'],
  'decision.withdrawn': ['withdraw'],
  'proof.withdrawn': ['withdraw'],
};

/**
 * Verifies every decision by what the log itself holds (docs/evidence.md, Decisions): its signature by a key that an earlier
 * entry names, and what it was made on, which an earlier entry of the request shows. Entries are taken in the order of the log.
 */
export class DecisionCheck {
  readonly #keys = new Map<string, KeyObject>();
  /** By chain, then by digest: at which stage and revision it was shown. */
  readonly #shown = new Map<string, Map<string, { stage: string; revision: number }>>();
  #verified = 0;
  #notVerifiable = 0;
  #notVerifiableSince = 0;

  get counts(): DecisionCounts {
    return {
      verified: this.#verified,
      notVerifiable: this.#notVerifiable,
      notVerifiableSince: this.#notVerifiableSince,
    };
  }

  /** @returns what is wrong with the entry; undefined where nothing is, or it tells of no decision */
  take(entry: EvidenceEntry): string | undefined {
    const { kind, chain, data } = entry;
    if (kind === 'installation.decision-key') return this.#takeKey(entry);
    if (kind === 'request.case-file') return this.#takeCaseFile(entry);
    const verdicts = verdictsOf[kind];
    if (verdicts !== undefined) {
      const told = kind.endsWith('.withdrawn') ? data['withdrawal'] : data;
      const obstacle = this.#obstacle(entry, verdicts, told);
      if (obstacle === 'not-verifiable') {
        this.#notVerifiable++;
        if (this.#keys.size > 0) this.#notVerifiableSince++;
      } else if (obstacle === undefined) this.#verified++;
      else return obstacle;
    }
    // Nothing is decided on a request that has ended.
    if (kind === 'request.finished') this.#shown.delete(chain);
    return undefined;
  }

  #takeKey({ chain, data }: EvidenceEntry): string | undefined {
    const parsed = keyData.safeParse(data);
    const key = parsed.success ? publicKeyOf(parsed.data.publicKey) : undefined;
    if (chain !== 'installation' || !parsed.success || key === undefined || keyIdOf(key) !== parsed.data.keyId)
      return 'It names a decision key that is none: an Ed25519 public key and the id made from it.';
    this.#keys.set(parsed.data.keyId, key);
    return undefined;
  }

  #takeCaseFile({ chain, requestId, data }: EvidenceEntry): string | undefined {
    const parsed = caseFileData.safeParse(data);
    if (!parsed.success) return 'It shows no case file.';
    const { digest, caseFile } = parsed.data;
    if (caseFile.requestId !== requestId) return `Its case file is of request ${caseFile.requestId}.`;
    if (digestOfCaseFile(caseFile as JsonObject) !== digest)
      return 'Its case file does not have the digest that it says.';
    const shown = this.#shown.get(chain) ?? new Map();
    this.#shown.set(chain, shown.set(digest, { stage: caseFile.stage, revision: caseFile.revision }));
    return undefined;
  }

  #obstacle(entry: EvidenceEntry, verdicts: readonly string[], told: unknown): string | 'not-verifiable' | undefined {
    if (isOfFirstVersion(told)) return 'not-verifiable';
    const parsed = decisionData.safeParse(told);
    if (!parsed.success) return 'It tells of a decision in no form that this command knows.';
    const { signature, ...signed } = parsed.data;
    const { keyId, requestId, approverId, verdict, digest, stage, revision } = signed;
    if (requestId !== entry.requestId || approverId !== entry.actor || !verdicts.includes(verdict))
      return 'Its decision is another than the entry says: of another request, by somebody else, or another verdict.';
    const key = this.#keys.get(keyId);
    if (key === undefined) return `No entry before it names the decision key ${keyId}.`;
    if (!verify(null, Buffer.from(canonicalJson(signed)), key, Buffer.from(signature, 'base64url')))
      return `Its decision does not carry a valid signature of key ${keyId}.`;
    const shown = this.#shown.get(entry.chain)?.get(digest);
    if (shown?.stage === stage && shown.revision === revision) return undefined;
    return 'No entry before it shows what the decision was made on.';
  }
}

/** Before there were versions; withdrawals were not told then. */
function isOfFirstVersion(told: unknown): boolean {
  return told === undefined || (typeof told === 'object' && told !== null && !('version' in told));
}

/** RFC 8410: an Ed25519 public key in SPKI form is this, then its 32 bytes. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

function publicKeyOf(text: string): KeyObject | undefined {
  const raw = Buffer.from(text, 'base64');
  if (raw.length !== 32) return undefined;
  return createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' });
}

function keyIdOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}
