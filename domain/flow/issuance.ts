import { type Draft, instant } from './draft.ts';
import { durationMs } from './duration.ts';
import { identityFactsOf } from './facts.ts';
import { noteRefusal } from './freezeStops.ts';
import { heldSince } from './heldTime.ts';
import type { OrderFacts } from './orders.ts';
import type { CreateResult, DestroyResult, EffectOrder, EffectOutcome, PromoteResult } from './plan.ts';
import { carriedReissues, deliverReissues, isSuspected, waiveReissues } from './reissues.ts';
import { reviewBy } from './review.ts';
import { silentFromMs } from './silence.ts';
import { recheck } from './stages.ts';
import type { CredentialFacts } from './state.ts';
import { destroyOrders, effectId, forgetFailures, isDue, recordFailure } from './steps.ts';

/**
 * Issuance and rotation, DESIGN section 5. What comes next is read off the credentials: a `minting` one wants `create`,
 * a `current` one whose promoted epoch is behind wants `promote`, a `retiring` one waits for consumers, a `destroying`
 * one wants `destroy`. So a lost workflow, a repeated event and a restarted driver arrive at the same plan.
 */

/** What the activity of an order recorded. */
export type Answer = NonNullable<OrderFacts['answer']>;

/** Mints in a row that could not be completed until the next one waits. */
const deadMintsUntilBackoff = 3;

/** Failures after which the handle cannot be taken over: it is destroyed and the next version made. */
const endsTheMint: readonly string[] = ['HandleNotResumable', 'ProofRefused', 'StagedValueDestroyed'];

/** Moves an `issue` or `rotate` effect as far as facts allow. Returns true when the stage is passed. */
export function settleIssuance(draft: Draft): boolean {
  const { effect } = draft.state;
  if (effect.committedVersion === undefined) {
    beginOrHold(draft);
    return false;
  }
  const current = credentialOf(draft, 'current');
  if (current === undefined || current.promotedEpoch !== draft.identity.epoch) return false;
  const retiring = credentialOf(draft, 'retiring');
  if (retiring !== undefined) settleGrace(draft, retiring);
  return draft.facts.credentials
    .filter(({ version }) => isMine(draft, version))
    .every(({ state, hasReceipt }) => state === 'current' || hasReceipt);
}

/** `begin`: every check again, then one `minting` row with the next version and a lease. */
function beginOrHold(draft: Draft): void {
  const mint = mintOf(draft);
  if (mint !== undefined) {
    if (draft.facts.holds.length > 0) refuseMint(draft, mint);
    else renewLeaseIfOver(draft, mint);
    return;
  }
  const waiting = draft.state.effect.retries['begin'];
  if (draft.facts.holds.length > 0) return noteRefusal(draft, 'begin');
  if (waiting !== undefined && !isDue(draft, 'begin')) return;
  if (!recheck(draft)) return;
  draft.change({
    change: 'mint',
    version: draft.identity.highestVersion + 1,
    leaseEndsAt: instant(draft.nowMs + draft.facts.leaseMs),
  });
}

/**
 * The next attempt of a `create`, and one whose workflow was lost, repeats `begin`'s checks and renews the lease of the same
 * handle. With half the lease or less left no attempt is running any more: `create` has half the lease.
 */
function renewLeaseIfOver(draft: Draft, mint: CredentialFacts): void {
  if (mint.state !== 'minting' || !isDue(draft, `create-v${mint.version}`)) return;
  const leaseEndsMs = draft.nowMs + draft.facts.leaseMs;
  if (Date.parse(mint.leaseEndsAt) > draft.nowMs + draft.facts.leaseMs / 2) return;
  if (!recheck(draft)) return destroyMint(draft, mint, 'checks failed');
  draft.change({ change: 'renew-lease', version: mint.version, leaseEndsAt: instant(leaseEndsMs) });
}

/** The effects that are open now. */
export function issuanceOrders(draft: Draft): EffectOrder[] {
  const orders = destroyOrders(draft, (version) => isMine(draft, version));
  const { identity } = draft;
  const { leaseMs } = draft.facts;
  const mint = mintOf(draft);
  if (mint?.state === 'minting' && isDue(draft, `create-v${mint.version}`)) {
    orders.push({
      id: effectId(draft, `create-v${mint.version}`),
      activity: 'create',
      input: {
        identityId: identity.id,
        version: mint.version,
        leaseEndsAt: mint.leaseEndsAt,
        timeoutMs: Math.floor(leaseMs / 2),
      },
    });
  }
  const current = credentialOf(draft, 'current');
  const isBehind = current !== undefined && current.promotedEpoch !== identity.epoch;
  if (draft.state.effect.committedVersion !== undefined && isBehind && isDue(draft, `promote-e${identity.epoch}`)) {
    orders.push({
      id: effectId(draft, `promote-e${identity.epoch}`),
      activity: 'promote',
      input: { identityId: identity.id, version: current.version, epoch: identity.epoch },
    });
  }
  return orders;
}

/** Takes in what the effect of a step recorded. */
export function takeIssuanceOutcome(draft: Draft, step: string, answer: Answer): void {
  const { outcome } = answer;
  const number = Number(step.slice(step.search(/\d+$/)));
  if (step.startsWith('create-v')) return takeCreate(draft, step, number, outcome);
  if (step.startsWith('promote-e')) return takePromote(draft, step, number, outcome);
  if (step.startsWith('destroy-v')) return takeDestroy(draft, step, number, answer);
}

function takeCreate(draft: Draft, step: string, version: number, outcome: EffectOutcome): void {
  const mint = mintOf(draft);
  if (mint?.version !== version || mint.state !== 'minting') return;
  if (!outcome.ok) {
    if (endsTheMint.includes(outcome.reason)) return buryMint(draft, mint, outcome);
    return recordFailure(draft, step, outcome);
  }
  const { fingerprint } = outcome.result as CreateResult;
  forgetFailures(draft, step);
  draft.change({ change: 'stage', version, fingerprint });
  commit(draft, { ...mint, state: 'staged' });
}

/** `commit`: every check again, the next epoch, `staged` → `current`; refused, or held, it destroys the mint. */
function commit(draft: Draft, mint: CredentialFacts): void {
  if (draft.facts.holds.length > 0) return refuseMint(draft, mint);
  if (!recheck(draft)) return destroyMint(draft, mint, 'checks failed');
  const replaced = credentialOf(draft, 'current');
  if (replaced !== undefined) draft.change({ change: 'retire', version: replaced.version });
  draft.change({
    change: 'make-current',
    version: mint.version,
    epoch: draft.identity.epoch + 1,
    expiresAt: expiryOf(draft),
  });
  if (draft.identity.state === 'requested')
    draft.change({ change: 'activate-identity', reviewBy: reviewBy(draft.flow, draft.nowMs) });
  draft.setEffect({
    committedVersion: mint.version,
    deadMints: 0,
    ...(replaced === undefined ? {} : { replacedVersion: replaced.version }),
  });
  forgetFailures(draft, 'begin');
}

function expiryOf(draft: Draft): string {
  const ttlEndsMs = draft.nowMs + durationMs(draft.flow.limits.credentialTtl);
  return instant(Math.min(ttlEndsMs, Date.parse(identityFactsOf(draft.facts.guardFacts).subject.expiresAt)));
}

function takePromote(draft: Draft, step: string, epoch: number, outcome: EffectOutcome): void {
  if (!outcome.ok) return recordFailure(draft, step, outcome);
  const current = credentialOf(draft, 'current');
  // A rollback or revocation took the next epoch meanwhile: its own promote or quarantine is planned already.
  if (current === undefined || epoch !== draft.identity.epoch) return;
  if ((outcome.result as PromoteResult).outcome === 'superseded') {
    const message = `The store already carries an epoch above ${epoch}, which this ledger has not given out: was it restored from an older backup?`;
    return recordFailure(draft, step, { reason: 'EpochSuperseded', message });
  }
  forgetFailures(draft, step);
  draft.change({ change: 'record-promote', version: current.version, epoch });
  deliverReissues(draft, current.version);
  if (credentialOf(draft, 'retiring') !== undefined) {
    draft.clearEffect('graceCountedTo');
    draft.setEffect({ graceEndsAt: instant(draft.nowMs + durationMs(draft.flow.limits.grace)) });
  }
}

function takeDestroy(draft: Draft, step: string, version: number, { outcome, begunAt }: Answer): void {
  if (!outcome.ok) return recordFailure(draft, step, outcome);
  forgetFailures(draft, step);
  recordDestroyed(draft, version, outcome.result as DestroyResult, Date.parse(begunAt));
}

/**
 * A destroy is final only if it began after the lease: until then a late creation may still land, and is swept. When its
 * answer arrives says nothing, for the lease may have ended on the way.
 * @param begunMs when it began by the ledger's clock, epoch ms
 */
export function recordDestroyed(draft: Draft, version: number, { receipt }: DestroyResult, begunMs: number): void {
  const credential = draft.facts.credentials.find((candidate) => candidate.version === version);
  if (credential?.state !== 'destroying') return;
  if (Date.parse(credential.leaseEndsAt) <= begunMs) draft.change({ change: 'destroyed', version, receipt });
  else if (!credential.hasReceipt) draft.change({ change: 'record-receipt', version, receipt });
}

/**
 * Retire: all consumers acknowledged this epoch, or the deadline passed with its clock never stopped by a hold; and nobody
 * has used the old credential for as long as the flow says, where the issuer can tell.
 */
function settleGrace(draft: Draft, retiring: CredentialFacts): void {
  const { holds, acknowledgedBy } = draft.facts;
  const { consumers } = identityFactsOf(draft.facts.guardFacts).subject;
  if (holds.length === 0) giveBackHeldTime(draft);
  if (holds.some(({ kind }) => kind === 'pause')) return;
  // Nobody registered means nobody can acknowledge: the old credential then lives to the deadline.
  const isAcknowledged = consumers.length > 0 && consumers.every((consumer) => acknowledgedBy.includes(consumer));
  const deadline = draft.state.effect.graceEndsAt;
  const isOver = holds.length === 0 && deadline !== undefined && Date.parse(deadline) <= draft.nowMs;
  if ((isAcknowledged || isOver) && (silentFromMs(draft, retiring) ?? 0) <= draft.nowMs) {
    const because = isAcknowledged ? 'all consumers acknowledged' : 'the grace window ended';
    draft.change({ change: 'destroy', version: retiring.version, because });
  }
}

/**
 * The clock of a grace window stands still under a hold, also under one that came and went between two steps. A hold from
 * before the window opened counts from its opening on.
 */
function giveBackHeldTime(draft: Draft): void {
  const { graceEndsAt, graceCountedTo } = draft.state.effect;
  if (graceEndsAt === undefined) return;
  const endsMs = Date.parse(graceEndsAt);
  const fromMs =
    graceCountedTo === undefined ? endsMs - durationMs(draft.flow.limits.grace) : Date.parse(graceCountedTo);
  const heldMs = heldSince(draft.facts.endedHolds, fromMs);
  if (heldMs === 0) return;
  draft.setEffect({ graceEndsAt: instant(endsMs + heldMs), graceCountedTo: instant(draft.nowMs) });
  draft.note('request.grace-extended', { heldMs, graceEndsAt: instant(endsMs + heldMs) });
}

type RollbackObstacle = { readonly slug: 'not-rollbackable' | 'responder-only'; readonly detail: string };

/** Rollback within the grace window: demote, then re-promote the old under the next epoch. Returns why not, or undefined. */
export function rollback(
  draft: Draft,
  command: { readonly by: string; readonly reason: string; readonly byResponder?: boolean },
): RollbackObstacle | undefined {
  const not = (detail: string): RollbackObstacle => ({ slug: 'not-rollbackable', detail });
  const current = credentialOf(draft, 'current');
  const retiring = credentialOf(draft, 'retiring');
  if (draft.state.effect.committedVersion === undefined)
    return not('Nothing is committed yet: cancel the request instead.');
  if (current === undefined || retiring === undefined)
    return not('The replaced credential is already being destroyed.');
  const { expiresAt } = retiring;
  if (expiresAt === undefined || Date.parse(expiresAt) <= draft.nowMs)
    return not('The replaced credential has expired.');
  if (isSuspected(draft.facts, retiring.version)) {
    if (command.byResponder !== true)
      return {
        slug: 'responder-only',
        detail: `A review ordered that version ${retiring.version} be replaced: only a responder has it served again. Ask one.`,
      };
    const undone = carriedReissues(draft).filter(({ highestVersion }) => retiring.version <= highestVersion);
    waiveReissues(draft, undone, command);
  }
  draft.change({ change: 'retire', version: current.version });
  draft.change({
    change: 'make-current',
    version: retiring.version,
    epoch: draft.identity.epoch + 1,
    expiresAt,
  });
  draft.clearEffect('graceEndsAt', 'graceCountedTo');
  draft.setEffect({ rolledBack: !draft.state.effect.rolledBack });
  return undefined;
}

/** An uncommitted mint of this request. */
export function mintOf(draft: Draft): CredentialFacts | undefined {
  return draft.facts.credentials.find(
    ({ state, requestId }) => (state === 'minting' || state === 'staged') && requestId === draft.facts.request.id,
  );
}

export function destroyMint(draft: Draft, mint: CredentialFacts, because: string): void {
  draft.change({ change: 'destroy', version: mint.version, because });
  forgetFailures(draft, `create-v${mint.version}`);
}

/** An uncommitted mint is destroyed under a hold, never held. */
function refuseMint(draft: Draft, mint: CredentialFacts): void {
  noteRefusal(draft, 'commit');
  destroyMint(draft, mint, 'held');
}

/** The handle is lost: the next version begins at once, until several died in a row. */
function buryMint(draft: Draft, mint: CredentialFacts, failure: { reason: string; message: string }): void {
  destroyMint(draft, mint, failure.reason);
  const deadMints = draft.state.effect.deadMints + 1;
  draft.setEffect({ deadMints });
  if (deadMints >= deadMintsUntilBackoff) recordFailure(draft, 'begin', failure);
}

/** What this request made or replaced: another request's leftovers are that one's to destroy. */
export function isMine(draft: Draft, version: number): boolean {
  const credential = draft.facts.credentials.find((candidate) => candidate.version === version);
  return credential?.requestId === draft.facts.request.id || version === draft.state.effect.replacedVersion;
}

function credentialOf(draft: Draft, state: 'current' | 'retiring'): CredentialFacts | undefined {
  return draft.facts.credentials.find((credential) => credential.state === state);
}
