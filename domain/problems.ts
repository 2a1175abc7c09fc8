/**
 * The catalogue of problems (RFC 9457): one slug, one status, one title, for the API, decisions, denials and docs alike.
 * A `detail` says what happened, to which object, and what to do next; it never holds a secret.
 */
export const problems = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  'method-not-allowed': { status: 405, title: 'The resource does not take this method' },
  unauthenticated: { status: 401, title: 'No valid credentials' },
  'sign-in-unavailable': { status: 503, title: 'The identity provider cannot be reached' },
  'person-inactive': { status: 403, title: 'This person is not active' },
  forbidden: { status: 403, title: 'Not allowed' },
  'not-found': { status: 404, title: 'No such object' },
  'not-acceptable': { status: 406, title: 'Only JSON is served here' },
  'key-required': { status: 400, title: 'Idempotency-Key is missing' },
  'key-reused': { status: 422, title: 'Idempotency-Key was used with another body' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'Only application/json is accepted' },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  'not-narrowing': { status: 422, title: 'The change does not narrow anything' },
  unavailable: { status: 503, title: 'Outcome unknown: retry with the same Idempotency-Key' },
  'not-ready': { status: 503, title: 'Not ready to serve' },
  internal: { status: 500, title: 'Something went wrong on our side' },
  'name-taken': { status: 409, title: 'An identity of this name exists in this environment' },
  'no-flow': { status: 422, title: 'No flow covers this' },
  'ambiguous-flow': { status: 422, title: 'More than one flow covers this' },
  'unknown-issuer': { status: 422, title: 'No such issuer in the configuration' },
  'unknown-store': { status: 422, title: 'No such store in the configuration' },
  'unsupported-scope': { status: 422, title: 'The issuer does not offer this scope' },
  'request-running': { status: 409, title: 'Another request is running on this identity' },
  'request-closed': { status: 409, title: 'The request is closed' },
  'not-active': { status: 409, title: 'The identity is not active' },
  'revision-changed': { status: 409, title: 'The request has changed since you saw it' },
  'digest-mismatch': { status: 409, title: 'The decision is not for what is shown' },
  'self-approval': { status: 403, title: 'You cannot decide on this request' },
  'not-eligible': { status: 403, title: 'You are not among the approvers' },
  'already-decided': { status: 409, title: 'You have already decided' },
  'nothing-to-withdraw': { status: 409, title: 'No decision of yours can be withdrawn' },
  'not-awaiting-approval': { status: 409, title: 'The request is not waiting for a decision' },
  'bad-signature': { status: 403, title: 'The decision is not signed by this installation' },
  'not-pausable': { status: 409, title: 'The request cannot be paused now' },
  'not-paused': { status: 409, title: 'The request is not paused' },
  'not-cancellable': { status: 409, title: 'The request cannot be cancelled now' },
  committed: { status: 409, title: 'Already committed: roll back instead' },
  'not-rollbackable': { status: 409, title: 'The rotation cannot be rolled back' },
  'not-amendable': { status: 409, title: 'The request cannot be amended now' },
  'not-stuck': { status: 409, title: 'Nothing is stuck here' },
  'wrong-epoch': { status: 409, title: 'The store serves another epoch' },
  'not-a-consumer': { status: 403, title: 'Not a registered consumer' },
  'store-unavailable': { status: 503, title: 'The store cannot be reached' },
  'no-secret': { status: 409, title: 'There is nothing to serve' },
  revoking: { status: 409, title: 'The identity is being revoked' },
  frozen: { status: 409, title: 'Issuance is frozen' },
  'confirmation-required': { status: 409, title: 'The selector matches nothing, or everything' },
  'exit-criteria-open': { status: 409, title: 'Subjects of the freeze have not been reviewed' },
  'not-frozen': { status: 409, title: 'This freeze does not hold the identity' },
  'freeze-lifted': { status: 409, title: 'The freeze is already lifted' },
  'second-responder': { status: 403, title: 'Another responder must lift it' },
  'observe-only': { status: 503, title: 'The ledger was restored and only observes' },
  'not-observe-only': { status: 409, title: 'The ledger acts already' },
  'finding-closed': { status: 409, title: 'The finding is closed' },
  'owner-not-valid': { status: 422, title: 'The owner is not valid' },
} as const satisfies Readonly<Record<string, { status: number; title: string }>>;

export type ProblemSlug = keyof typeof problems;

/** `urn:tenure:problem:<slug>` (RFC 9457 §3.1.1). */
export function problemType(slug: ProblemSlug): string {
  return `urn:tenure:problem:${slug}`;
}
