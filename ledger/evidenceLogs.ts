import { type Checkpoint, openCheckpoint } from '../domain/evidence/checkpoint.ts';
import { logOf, originOfLog, successorOrigin } from '../domain/evidence/logOrigin.ts';
import { formatVerifierKey, NoteInvalid, type NoteVerifier, noteVerifier } from '../domain/evidence/signedNote.ts';
import type { Prisma } from '../prisma/generated/client.ts';
import type { Ledger } from './client.ts';
import { databaseClock } from './databaseClock.ts';
import { appendEvidence, type EvidenceKeys } from './evidence.ts';
import { treeSize } from './evidenceTree.ts';

/** The log that is sealed now. */
export interface CurrentLog {
  /** From 1; another one after each restore in which signed entries were lost. */
  readonly generation: number;
  readonly origin: string;
  /** Checkpoints of this size and below are of an earlier log. */
  readonly firstSize: bigint;
  /** It goes on with the tree of the log before, under another key; false where entries were lost. */
  readonly isSuccessor: boolean;
}

export interface LogRow {
  readonly generation: number;
  readonly firstSize: bigint;
  readonly succession: string | null;
}

export async function currentLog(
  tx: Pick<Prisma.TransactionClient, 'evidenceLog'>,
  keys: Pick<EvidenceKeys, 'origin'>,
): Promise<CurrentLog> {
  const row = await tx.evidenceLog.findFirst({
    orderBy: { generation: 'desc' },
    select: { generation: true, firstSize: true, succession: true },
  });
  return logOfRow(keys, row);
}

/** @param row null for the first log, which has none */
export function logOfRow({ origin }: Pick<EvidenceKeys, 'origin'>, row: LogRow | null): CurrentLog {
  if (row === null) return { generation: 1, origin, firstSize: 0n, isSuccessor: false };
  const { generation, firstSize, succession } = row;
  const isSuccessor = succession !== null;
  return {
    generation,
    firstSize,
    isSuccessor,
    origin: isSuccessor ? successorOrigin(origin, generation) : originOfLog(origin, generation),
  };
}

type VerifyingKeys = Pick<EvidenceKeys, 'origin' | 'signingKey' | 'successions'>;

/** The note key of the log that a note of ours is of. @throws NoteInvalid when it is of no log of this installation */
export function verifierOf(keys: VerifyingKeys, note: string): NoteVerifier {
  const [origin = ''] = note.split('\n', 1);
  const { installation, generation } = logOf(origin);
  if (installation !== keys.origin) throw new NoteInvalid(`The checkpoint is of ${origin}, no log of ${keys.origin}.`);
  const ended = keys.successions?.find(({ newKey }) => logOf(newKey.name).generation > generation);
  return noteVerifier(origin, ended?.oldKey.publicKey ?? keys.signingKey);
}

/** A checkpoint that this installation signed, of whichever of its logs. @throws NoteInvalid */
export function openOwnCheckpoint(keys: VerifyingKeys, note: string): Checkpoint {
  return openCheckpoint(note, verifierOf(keys, note));
}

/** The note key that verifiers of this checkpoint are given (C2SP vkey). @throws NoteInvalid when it is none of ours */
export function verifierKeyOf(keys: VerifyingKeys, note: string): string {
  const verifier = verifierOf(keys, note);
  // A process that still has the key before would name one that did not sign it.
  openCheckpoint(note, verifier);
  return formatVerifierKey(verifier);
}

/**
 * Effect: once an administrator has resumed the ledger without the entries of `lost`, a new log begins with those that it
 * has. The lost head stays proof of what was: its size and root are the first evidence of the new log. Idempotent by
 * restore.
 * @param lost the signed head that the ledger does not hold
 * @returns false while the ledger is observe-only: nothing was begun
 */
export async function beginLogAfterRestore(ledger: Ledger, lost: Checkpoint): Promise<boolean> {
  const { evidence } = ledger;
  const lostRoot = lost.root.toString('hex');
  return ledger.prisma.$transaction(async (tx) => {
    const signed = { signedSize: BigInt(lost.size), signedRoot: lostRoot };
    const restore = await tx.ledgerRestore.findFirst({ where: { ...signed, resumedAt: { not: null } } });
    if (restore === null) return false;
    const current = await currentLog(tx, evidence);
    const generation = Math.max(current.generation, logOf(lost.origin).generation) + 1;
    const at = await databaseClock(tx);
    const firstSize = BigInt(await treeSize(tx));
    const { count } = await tx.evidenceLog.createMany({
      data: [{ generation, firstSize, restoreId: restore.id, begunAt: at }],
      skipDuplicates: true,
    });
    if (count === 0) return true;
    const origin = originOfLog(evidence.origin, generation);
    await appendEvidence(tx, evidence, [
      {
        chain: 'installation',
        kind: 'installation.log-begun',
        actor: 'system:sealer',
        at,
        data: { origin, lostOrigin: lost.origin, lostSize: lost.size, lostRoot },
      },
    ]);
    return true;
  });
}
