import { canonicalJson } from './canonicalJson.ts';
import type { Checkpoint } from './checkpoint.ts';
import { DecisionCheck, type DecisionCounts } from './decisionCheck.ts';
import { type EvidenceEntry, evidenceEntrySchema } from './entry.ts';
import { logOf } from './logOrigin.ts';
import { GrowingTree, leafHash } from './merkleTree.ts';
import type { Succession } from './succession.ts';

export interface ExportProblem {
  readonly code:
    | 'not-an-entry'
    | 'not-canonical'
    | 'other-installation'
    | 'chain-broken'
    | 'decision-unverified'
    | 'entries-missing'
    | 'entries-extra'
    | 'root-differs'
    | 'held-root-differs'
    | 'held-is-newer'
    | 'succession-broken';
  readonly message: string;
  /** From 1. */
  readonly line?: number;
}

export interface ExportReport {
  readonly ok: boolean;
  readonly origin: string;
  readonly size: number;
  readonly lines: number;
  /** Base64. */
  readonly root: string;
  readonly heldSize?: number;
  readonly decisions: DecisionCounts;
  /** At most `maximumLineProblems` about lines, then those about the whole. */
  readonly problems: readonly ExportProblem[];
}

/** A broken file has one cause and thousands of consequences: the first few lines tell it. */
const maximumLineProblems = 10;

/**
 * Checks an export line by line, in memory that grows with the number of chains and not with the log: the tree is rebuilt
 * and compared with the checkpoint (whose signature the caller has verified), and with an older one held elsewhere, and
 * every decision is verified. A root says only that something differs; that each line is a canonical entry and each chain
 * unbroken says where, for many faults. MACs are not checked: their key never leaves the installation.
 */
export class ExportCheck {
  readonly #checkpoint: Checkpoint;
  readonly #held: Checkpoint | undefined;
  readonly #successions: readonly Succession[];
  readonly #tree = new GrowingTree();
  readonly #decisions = new DecisionCheck();
  readonly #lastPositions = new Map<string, number>();
  readonly #lineProblems: ExportProblem[] = [];
  #rootAtSize: Buffer | undefined;
  #rootAtHeldSize: Buffer | undefined;

  /** @param successions of the export, in its order: the log must have had the root that each names */
  constructor(checkpoint: Checkpoint, held?: Checkpoint, successions: readonly Succession[] = []) {
    this.#checkpoint = checkpoint;
    this.#successions = successions;
    this.#held = held;
    this.#noteRoots();
  }

  /** @param leaf the exact bytes of the next line, without its newline */
  line(leaf: Uint8Array): void {
    const number = this.#tree.size + 1;
    this.#tree.append(leafHash(leaf));
    this.#noteRoots();
    const problem = this.#problemOfLine(leaf);
    if (problem !== undefined && this.#lineProblems.length < maximumLineProblems) {
      this.#lineProblems.push({ ...problem, line: number });
    }
  }

  finish(): ExportReport {
    const problems = [...this.#lineProblems, ...this.#problemsOfSize(), ...this.#problemsOfHeld()];
    return {
      ok: problems.length === 0,
      origin: this.#checkpoint.origin,
      size: this.#checkpoint.size,
      lines: this.#tree.size,
      root: this.#checkpoint.root.toString('base64'),
      ...(this.#held === undefined ? {} : { heldSize: this.#held.size }),
      decisions: this.#decisions.counts,
      problems,
    };
  }

  #noteRoots(): void {
    if (this.#tree.size === this.#checkpoint.size) this.#rootAtSize = this.#tree.root;
    if (this.#tree.size === this.#held?.size) this.#rootAtHeldSize = this.#tree.root;
    for (const { old, newKey } of this.#successions)
      if (this.#tree.size === old.size && !this.#tree.root.equals(old.root))
        this.#lineProblems.push({
          code: 'succession-broken',
          message: `The first ${old.size} entries are not those that ${old.origin} handed over to ${newKey.name}.`,
        });
  }

  #problemOfLine(leaf: Uint8Array): ExportProblem | undefined {
    const entry = parseEntry(leaf);
    if ('code' in entry) return entry;
    if (entry.installation !== logOf(this.#checkpoint.origin).installation) {
      return {
        code: 'other-installation',
        message: `The entry is of ${entry.installation}, the checkpoint of ${this.#checkpoint.origin}.`,
      };
    }
    const expected = (this.#lastPositions.get(entry.chain) ?? -1) + 1;
    this.#lastPositions.set(entry.chain, entry.position);
    if (entry.position !== expected)
      return {
        code: 'chain-broken',
        message: `Chain ${entry.chain} has position ${entry.position} where ${expected} must follow: an entry is missing, doubled or out of order.`,
      };
    const unverified = this.#decisions.take(entry);
    return unverified === undefined ? undefined : { code: 'decision-unverified', message: unverified };
  }

  #problemsOfSize(): ExportProblem[] {
    const { size, root } = this.#checkpoint;
    const lines = this.#tree.size;
    if (this.#rootAtSize === undefined) {
      return [
        {
          code: 'entries-missing',
          message: `The checkpoint covers ${size} entries, the file has ${lines}: ${size - lines} are missing.`,
        },
      ];
    }
    const sameRoot = this.#rootAtSize.equals(root);
    const problems: ExportProblem[] = [];
    if (lines > size) {
      const known = sameRoot ? `the first ${size} are as signed, the rest is covered by nothing` : 'entries were added';
      problems.push({
        code: 'entries-extra',
        message: `The checkpoint covers ${size} entries, the file has ${lines}: ${known}.`,
      });
    }
    if (!sameRoot) {
      const message = `The ${size} entries do not have the signed root: at least one was changed, replaced, added, left out or moved.`;
      problems.push({ code: 'root-differs', message });
    }
    return problems;
  }

  #problemsOfHeld(): ExportProblem[] {
    const held = this.#held;
    if (held === undefined) return [];
    if (held.size > this.#checkpoint.size) {
      const message = `The checkpoint you hold covers ${held.size} entries, the export's only ${this.#checkpoint.size}: the export is older, or the log was cut back.`;
      return [{ code: 'held-is-newer', message }];
    }
    // Without the lines to rebuild it, `entries-missing` has been said already.
    if (this.#rootAtHeldSize === undefined || this.#rootAtHeldSize.equals(held.root)) return [];
    const message = `The first ${held.size} entries are not those of the checkpoint you hold: history before it was rewritten.`;
    return [{ code: 'held-root-differs', message }];
  }
}

export function parseEntry(leaf: Uint8Array): EvidenceEntry | ExportProblem {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(leaf);
    const value: unknown = JSON.parse(text);
    const parsed = evidenceEntrySchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return {
        code: 'not-an-entry',
        message: `Not an evidence entry: ${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'unknown'}.`,
      };
    }
    if (canonicalJson(value) !== text) {
      return {
        code: 'not-canonical',
        message: 'The entry is not in its canonical form (RFC 8785): these are not the bytes that were recorded.',
      };
    }
    return parsed.data;
  } catch {
    // TextDecoder, JSON.parse and canonicalJson all throw for one reason: these bytes are no JSON that we ever wrote.
    return { code: 'not-an-entry', message: 'Not an evidence entry: the line is not valid JSON text.' };
  }
}
