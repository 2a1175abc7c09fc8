import { type KeyObject, sign, verify } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../../evidence/canonicalJson.ts';
import { readPolicyDocument } from './document.ts';
import { sha256 } from './publishedSet.ts';
import { documentLimit, type Submission, submissionBytes } from './submission.ts';

/**
 * Recovery of the published flows by two people, when no publication can be approved any more: what they state, and how
 * they sign it, away from the installation.
 */

/** How long a statement may be applied: people gather at once, and a forgotten one must not rule later. */
export const recoveryHours = 24;

const recoveryMs = recoveryHours * 3_600_000;
const digest = z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256 in hex');
const name = z.string().min(1).max(200);

const recoveryStatement = z
  .strictObject({
    /** Keeps these signatures apart from any other use of the keys. */
    purpose: z.literal('tenure/flow-recovery/1'),
    /** The origin of its evidence. */
    installation: z.string().min(1).max(300),
    /** What is published when it is prepared: SHA-256 of the set, and the number of the newest line of its history. */
    published: z.strictObject({ digest, newest: z.string().regex(/^\d{1,19}$/) }),
    documents: z
      .array(
        z.strictObject({
          name,
          file: z.string().min(1).max(4_096),
          /** Of the document as it is run. */
          digest,
          replaces: digest.nullable(),
          source: z.string().max(submissionBytes),
          tests: z.string().max(submissionBytes).exactOptional(),
        }),
      )
      .max(documentLimit),
    retired: z.array(z.strictObject({ name, digest })).max(documentLimit),
    /** Each change that lets more through, in words. */
    weakening: z.array(z.string()).max(10_000),
    reason: z.string().max(2_000).regex(/\S/, 'says nothing'),
    createdAt: z.iso.datetime(),
    endsAt: z.iso.datetime(),
  })
  .refine(
    ({ createdAt, endsAt }) => Date.parse(endsAt) - Date.parse(createdAt) <= recoveryMs,
    `may be applied for more than ${recoveryHours} hours`,
  );

const recovery = z.strictObject({
  statement: recoveryStatement,
  signatures: z
    .array(z.strictObject({ keyId: z.string().regex(/^[0-9a-f]{16}$/), signature: z.base64().max(100) }))
    .max(4, 'has more than 4 signatures'),
});

/** Everything that two people vouch for. Plain JSON. Whoever prepared it is trusted with nothing: all of it is checked. */
export type RecoveryStatement = z.output<typeof recoveryStatement>;

/** The file that goes from hand to hand. */
export type Recovery = z.output<typeof recovery>;

/** A key that tenure.yaml names. */
export interface RecoveryKey {
  readonly keyId: string;
  readonly person: string;
  /** Ed25519. */
  readonly publicKey: KeyObject;
}

/** Why a recovery is refused, and what to do. Nothing was changed. */
export class RecoveryRefused extends Error {
  override readonly name = 'RecoveryRefused';
}

/** A fresh statement, signed by nobody. @throws RecoveryRefused when `readRecovery` would refuse it: a reason without a word */
export function newRecovery(
  statement: Omit<RecoveryStatement, 'purpose' | 'createdAt' | 'endsAt'>,
  createdAt: Date,
): Recovery {
  const endsAt = new Date(createdAt.getTime() + recoveryMs).toISOString();
  const dated = { ...statement, createdAt: createdAt.toISOString(), endsAt };
  const fresh: Recovery = { statement: { purpose: 'tenure/flow-recovery/1', ...dated }, signatures: [] };
  return readRecovery(JSON.stringify(fresh));
}

/**
 * Reads the file, whose every document must be what its digest says.
 * @throws RecoveryRefused naming what is wrong with it
 */
export function readRecovery(text: string): Recovery {
  const parsed = recovery.safeParse(jsonOf(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RecoveryRefused(
      `It is no recovery of flows: ${issue?.path.join('.') || 'the file'}: ${issue?.message}. Prepare one: tenure flows recover prepare.`,
    );
  }
  for (const document of parsed.data.statement.documents) {
    const read = readPolicyDocument(document.source, document.file);
    if (!read.ok || read.document.digest !== document.digest || read.document.name !== document.name)
      throw new RecoveryRefused(
        `The text of ${document.name} is not what the statement names by digest: it was changed, or prepared by another release. Prepare it anew.`,
      );
  }
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RecoveryRefused('It is no JSON. Prepare it anew: tenure flows recover prepare.', { cause });
  }
}

/** SHA-256 (hex) of exactly what is signed. */
export function recoveryDigest(statement: RecoveryStatement): string {
  return sha256(canonicalJson(statement));
}

/** The same with this signature (Ed25519 over the RFC 8785 form of the statement). Signing twice with a key changes nothing. */
export function signRecovery(
  { statement, signatures }: Recovery,
  { keyId, privateKey }: { readonly keyId: string; readonly privateKey: KeyObject },
): Recovery {
  const signature = sign(null, signedBytes(statement), privateKey).toString('base64');
  const others = signatures.filter((each) => each.keyId !== keyId);
  return { statement, signatures: [...others, { keyId, signature }] };
}

/**
 * The people who signed exactly this statement: two at least.
 * @throws RecoveryRefused when a signature is of no key of these, or of another content; or when one person alone signed
 */
export function recoverersOf({ statement, signatures }: Recovery, keys: readonly RecoveryKey[]): readonly string[] {
  const people = signatures.map(({ keyId, signature }) => {
    const key = keys.find((each) => each.keyId === keyId);
    if (key === undefined)
      throw new RecoveryRefused(
        `Key ${keyId} signed it, and is none of recovery.keys in tenure.yaml. Let the people sign it whose keys are.`,
      );
    if (!verify(null, signedBytes(statement), key.publicKey, Buffer.from(signature, 'base64')))
      throw new RecoveryRefused(
        `The signature of ${key.person} is not of this content: it was changed after signing. Prepare it anew, and let both sign again.`,
      );
    return key.person;
  });
  const different = [...new Set(people)];
  if (different.length >= 2) return different;
  const who = different.length === 0 ? 'Nobody' : `Only ${different[0]}`;
  throw new RecoveryRefused(
    `${who} signed it, and two different people must. Let another one: tenure flows recover sign <file> --key <file>.`,
  );
}

/** What is checked as a publication would be. */
export function submissionIn({ documents, retired }: RecoveryStatement): Submission {
  return {
    documents: documents.map(({ name: expects, file, source, tests }) => ({
      file,
      source,
      expects,
      ...(tests === undefined ? {} : { tests }),
    })),
    retire: retired.map((each) => each.name),
  };
}

function signedBytes(statement: RecoveryStatement): Buffer {
  return Buffer.from(canonicalJson(statement), 'utf8');
}
