import { type KeyObject, sign, verify } from 'node:crypto';
import { canonicalJson, type JsonObject } from './evidence/canonicalJson.ts';
import { pseudonym, withoutPersons } from './evidence/pseudonym.ts';
import type { SignedDecision } from './flow/events.ts';

/**
 * Decisions are signed by the API, so that access to Temporal or to PostgreSQL gives no power to approve. Signed is what can be
 * published: whoever has the evidence and the public key verifies it.
 */

/** Everything of a decision but its signature. */
export type UnsignedDecision = Omit<SignedDecision, 'signature'>;

/** Keys of the installation by which a decision is made and known. */
export interface DecisionKeys {
  /** Turns the approver, and anybody named in the comment, into a pseudonym. */
  readonly personKey: KeyObject;
  /** Public keys by key id. */
  readonly verifying: ReadonlyMap<string, KeyObject>;
}

/** Ed25519 over the RFC 8785 text of the decision as it is published. */
export function signDecision<D extends Omit<UnsignedDecision, 'version'>>(
  decision: D,
  { personKey, privateKey }: { readonly personKey: KeyObject; readonly privateKey: KeyObject },
): D & { readonly version: 2; readonly signature: string } {
  const whole = { ...decision, version: 2 } as const;
  const signature = sign(null, signedBytes(whole, personKey), privateKey).toString('base64url');
  return { ...whole, signature };
}

/** A decision as evidence tells it: what is signed, with people as pseudonyms. */
export function publishedDecision(decision: UnsignedDecision, personKey: KeyObject): JsonObject {
  const approverId = pseudonym(personKey, decision.approverId);
  return { ...withoutPersons(personKey, fieldsOf(decision)), approverId };
}

/** False for any other key, field or byte; never throws on a malformed signature. */
export function isSignedBy(
  decision: UnsignedDecision & { readonly signature: string },
  publicKey: KeyObject,
  personKey: KeyObject,
): boolean {
  return verify(null, signedBytes(decision, personKey), publicKey, Buffer.from(decision.signature, 'base64url'));
}

/** What the ledger takes for genuine: a decision with a valid signature by the key that it names, when that is one of these. */
export function signedByOneOf({ personKey, verifying }: DecisionKeys): (decision: SignedDecision) => boolean {
  return (decision) => {
    const publicKey = verifying.get(decision.keyId);
    return publicKey !== undefined && isSignedBy(decision, publicKey, personKey);
  };
}

function signedBytes(decision: UnsignedDecision, personKey: KeyObject): Buffer {
  // The first version signed the person, whom evidence does not name: those signatures are the installation's own to verify.
  const { approverId, version } = decision;
  const text = version === undefined ? { ...fieldsOf(decision), approverId } : publishedDecision(decision, personKey);
  return Buffer.from(canonicalJson(text), 'utf8');
}

/** But for the approver. Members are left out where there is nothing, so that signatures of before there were such stay good. */
function fieldsOf(decision: UnsignedDecision): JsonObject {
  const { id, requestId, stage, revision, verdict, digest, comment, decidedAt, keyId } = decision;
  const { version, authenticatedAt } = decision;
  return {
    ...{ id, requestId, stage, revision, verdict, digest, comment, decidedAt, keyId },
    ...(version === undefined ? {} : { version }),
    ...(authenticatedAt === undefined ? {} : { authenticatedAt }),
  };
}
