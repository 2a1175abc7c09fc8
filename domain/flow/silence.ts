import type { Draft } from './draft.ts';
import { durationMs } from './duration.ts';
import { isSuspected } from './reissues.ts';
import type { CredentialFacts } from './state.ts';

/** Issuers that can tell of uses record them to half a minute: there may have been another one so much later. */
const recordedToMs = 30_000;

/**
 * From when on a replaced credential counts as used no more, epoch ms: `limits.silence` after its last use. Undefined where
 * the flow asks for no silence, the issuer tells of no use, or the credential is refused by its own expiry anyway.
 */
export function silentFromMs(
  { flow, nowMs, facts }: Draft,
  { version, lastUsedAt, expiresAt }: CredentialFacts,
): number | undefined {
  const { silence } = flow.limits;
  if (silence === undefined || lastUsedAt === undefined) return undefined;
  // Whoever it leaked to could keep it alive by using it.
  if (isSuspected(facts, version)) return undefined;
  if (expiresAt !== undefined && Date.parse(expiresAt) <= nowMs) return undefined;
  return Date.parse(lastUsedAt) + recordedToMs + durationMs(silence);
}
