import { type CaseFile, digestOfCaseFile } from '../caseFile.ts';
import { type Approver, digestOfReview, mayDecide, type Review } from '../decisions.ts';
import type { ProblemSlug } from '../problems.ts';
import { isFresh, mayProve, staleSignIn } from '../proofs.ts';
import { isFinalRequestState } from '../states.ts';
import { type Draft, instant } from './draft.ts';
import type { Command, SignedDecision, Verdict } from './events.ts';
import { identityFactsOf } from './facts.ts';
import { destroyMint, isMine, mintOf, recordDestroyed, rollback } from './issuance.ts';
import type { ApprovalStage, Stage, StepUpStage } from './language.ts';
import { type Receipt, resolvedByHand } from './plan.ts';
import { carriedReissues, waiveReissues } from './reissues.ts';
import { approvalTimeoutMs, proverAt, requestDeadlineMs } from './stages.ts';
import type { DecisionFacts, FlowState, LedgerFacts } from './state.ts';
import { forgetFailures, retryNow } from './steps.ts';

/** Judges decisions and commands: the verdict is recorded with the event, and what is accepted becomes changes. */

const accepted: Verdict = { accepted: true };

export function refused(slug: ProblemSlug, detail: string): Verdict {
  return { accepted: false, slug, detail };
}

/** The facts that a review is made of: so few that the API can show it without locking anything. */
export type ReviewedFacts = Pick<LedgerFacts, 'parties' | 'guardFacts'> & {
  readonly request: Pick<
    LedgerFacts['request'],
    | 'id'
    | 'revision'
    | 'kind'
    | 'flowDigest'
    | 'requesterId'
    | 'onBehalfOf'
    | 'ownerId'
    | 'proposal'
    | 'policy'
    | 'registration'
    | 'stepUp'
    | 'publication'
  >;
};

/** What an approver is shown at the stage where the request stands. */
export function reviewOf(
  at: Pick<Draft, 'stage'> & { readonly facts: ReviewedFacts; readonly state: Pick<FlowState, 'risk'> },
): Review {
  const { request, parties, guardFacts } = at.facts;
  const { risk } = at.state;
  const reviewed = {
    requestId: request.id,
    revision: request.revision,
    kind: request.kind,
    trigger: guardFacts.request.trigger,
    flowDigest: request.flowDigest,
    stage: at.stage?.id ?? '',
    requesterId: request.requesterId,
    onBehalfOf: request.onBehalfOf,
    justification: guardFacts.request.justification,
    ...(risk === undefined ? {} : { risk }),
  };
  if (request.publication !== undefined) return { ...reviewed, publication: request.publication };
  const ownerId = request.ownerId ?? parties.ownerId;
  if (ownerId === undefined) throw new TypeError(`Request ${request.id} has no owner: a defect of Tenure.`);
  const { subject } = identityFactsOf(guardFacts);
  return {
    ...reviewed,
    ownerId,
    subject,
    ...(request.proposal === undefined ? {} : { proposal: request.proposal }),
    ...(request.policy === undefined ? {} : { policy: request.policy }),
    ...(request.registration === undefined ? {} : { registration: request.registration }),
    ...(request.stepUp === undefined ? {} : { stepUp: request.stepUp }),
  };
}

/** What a decision is checked against besides the facts. */
export interface DecisionContext {
  /** The approver as the directory knows that person now. */
  readonly approver: Approver;
  /** Whether it was made as it says. In production nothing but its signature tells that (`signedByOneOf`). */
  readonly isGenuine: (decision: SignedDecision) => boolean;
  /** What is shown as it can be published (`caseFileOf`, under the installation's key). */
  readonly caseFileOf: (review: Review) => CaseFile;
}

/**
 * Genuineness, revision, deadline, exact content, eligibility, a proof's sign-in, uniqueness: in this order, each with its own
 * refusal.
 */
export function judgeDecision(draft: Draft, decision: SignedDecision, context: DecisionContext): Verdict {
  const { facts } = draft;
  if (isFinalRequestState(draft.requestState)) {
    return refused(
      'request-closed',
      `Request ${facts.request.id} is ${draft.requestState}; nothing is left to decide.`,
    );
  }
  if (!context.isGenuine(decision)) {
    return refused('bad-signature', `Decision ${decision.id} does not carry a valid signature of this installation.`);
  }
  if (decision.requestId !== facts.request.id || decision.approverId !== context.approver.id) {
    return refused('bad-signature', `Decision ${decision.id} was signed for another request or approver.`);
  }
  if (decision.revision !== facts.request.revision) {
    return refused(
      'revision-changed',
      `You decided on revision ${decision.revision}; the request is now at ${facts.request.revision}. Read it again, then decide.`,
    );
  }
  const stage = stageTaking(decision, draft.stage);
  if (stage === undefined) {
    const slug = decision.verdict === 'confirm' ? 'not-awaiting-proof' : 'not-awaiting-approval';
    return refused(slug, `Request ${facts.request.id} is not waiting for it at stage ${decision.stage}.`);
  }
  const ownDeadlineMs = 'approval' in stage ? approvalTimeoutMs(draft, stage) : Number.POSITIVE_INFINITY;
  const deadlineMs = Math.min(ownDeadlineMs, requestDeadlineMs(draft));
  if (draft.nowMs >= deadlineMs) {
    return refused(
      'request-closed',
      `Stage ${stage.id} of request ${facts.request.id} waited until ${instant(deadlineMs)}; your decision came after that.`,
    );
  }
  const review = reviewOf(draft);
  const caseFile = context.caseFileOf(review).published;
  const shown = decision.version === undefined ? digestOfReview(review) : digestOfCaseFile(caseFile);
  if (decision.digest !== shown) {
    return refused('digest-mismatch', 'The digest is not of what this request shows now. Read it again, then decide.');
  }
  const eligibility =
    'approval' in stage
      ? mayDecide(context.approver, stage, facts.parties, draft.state.escalated)
      : mayProve(context.approver, stage, proverAt(stage, facts));
  if (!eligibility.may) return refused(eligibility.slug, eligibility.detail);
  if (decision.verdict === 'confirm' && 'stepUp' in stage) {
    const { authenticatedAt } = decision;
    if (!isFresh(authenticatedAt, { maxAge: stage.stepUp.maxAge, nowMs: draft.nowMs }))
      return refused('insufficient-user-authentication', staleSignIn(stage, authenticatedAt));
  }
  const earlier = facts.decisions.find(
    (counted) => counted.stage === stage.id && counted.approver.id === context.approver.id,
  );
  const voided = facts.voidDecisions?.find(
    ({ stage: at, approverId }) => at === stage.id && approverId === context.approver.id,
  );
  const isNew = decision.version !== undefined && !facts.decisions.some(({ digest }) => digest === shown);
  const tellWhatWasShown = (): void => {
    if (isNew) draft.change({ change: 'record-case-file', digest: shown, caseFile });
  };
  if (decision.verdict === 'withdraw') {
    const withdrawn = earlier ?? voided;
    if (withdrawn === undefined)
      return refused('nothing-to-withdraw', `${context.approver.id} has not decided on stage ${stage.id}.`);
    tellWhatWasShown();
    const { id: decisionId } = withdrawn;
    draft.change({ change: 'withdraw-decision', what: whatIs(withdrawn), decisionId, withdrawal: decision });
    return accepted;
  }
  if (earlier !== undefined) {
    return refused(
      'already-decided',
      `${context.approver.id} has decided on this revision of stage ${stage.id}. Withdraw first to change it.`,
    );
  }
  if (voided !== undefined) {
    const { id: decisionId, because } = voided;
    draft.change({ change: 'void-decision', what: whatIs(voided), decisionId, because });
  }
  tellWhatWasShown();
  const { risk } = review;
  draft.change({
    ...{ change: 'record-decision', decision, approver: context.approver },
    ...(risk === undefined ? {} : { risk }),
  });
  return accepted;
}

function whatIs({ verdict }: Pick<DecisionFacts, 'verdict'>): 'decision' | 'proof' {
  return verdict === 'confirm' ? 'proof' : 'decision';
}

/** The stage where the request stands, if it takes such a verdict and is the one that was meant. */
function stageTaking(
  { stage: meant, verdict }: SignedDecision,
  stage: Stage | undefined,
): ApprovalStage | StepUpStage | undefined {
  if (stage === undefined || stage.id !== meant) return undefined;
  if ('approval' in stage) return verdict === 'confirm' ? undefined : stage;
  return 'stepUp' in stage && (verdict === 'confirm' || verdict === 'withdraw') ? stage : undefined;
}

/** Whether an opening with the amended content would be accepted, and would run under the request's own flow. */
export interface AmendmentCheck {
  readonly obstacle: { readonly slug: string; readonly detail: string } | undefined;
}

/**
 * Commands were authorised by the API; whether they fit the request's state is judged here, under the lock.
 * @param amendmentCheck of an amendment; without it none is taken
 */
export function judgeCommand(draft: Draft, command: Command, amendmentCheck?: AmendmentCheck): Verdict {
  const { request } = draft.facts;
  // What a closed request still owes can be hurried and vouched for; nothing else of it changes.
  if (isFinalRequestState(draft.requestState) && command.do !== 'resolve' && command.do !== 'retry') {
    return refused(
      'request-closed',
      `Request ${request.id} is ${draft.requestState}; ${command.do} changes nothing any more.`,
    );
  }
  const isCommitted = draft.state.effect.committedVersion !== undefined;
  switch (command.do) {
    case 'pause':
      if (
        request.kind === 'rotation' &&
        command.byResponder !== true &&
        draft.facts.reissues.some(({ isOwed }) => isOwed)
      )
        return refused(
          'responder-only',
          'A review ordered the credential of this identity to be re-issued, and it has not been: until then only a responder pauses its rotations. Ask one.',
        );
      if (request.kind === 'review')
        return refused('not-pausable', 'A review is never held up: it is what ends a hold.');
      if (draft.state.effect.revoked) return refused('not-pausable', 'A revocation that has begun is never held up.');
      if (!draft.facts.holds.some((hold) => hold.kind === 'pause' && hold.by === command.by)) {
        draft.change({ change: 'pause', by: command.by, reason: command.reason });
      }
      return accepted;
    case 'resume': {
      const mine = draft.facts.holds.filter((hold) => hold.kind === 'pause' && (command.all || hold.by === command.by));
      if (mine.length === 0) {
        const others = draft.facts.holds
          .map(({ kind, id, by }) => (kind === 'pause' ? `pause by ${by}` : `freeze by ${by} (${id})`))
          .join(', ');
        return refused(
          'not-paused',
          others === ''
            ? 'Nothing holds this request.'
            : `Still held: ${others}. Only who paused it, or a responder, lifts a pause; a freeze ends by a review of the identity, or is lifted at /v1/freezes.`,
        );
      }
      draft.change({ change: 'resume', by: command.by, all: command.all, reason: command.reason });
      return accepted;
    }
    case 'cancel': {
      if (isCommitted)
        return refused('committed', 'The new credential is committed. Use rollback while the grace window is open.');
      if (draft.state.effect.revoked) return refused('not-cancellable', 'A revocation that has begun is never undone.');
      const ordered = carriedReissues(draft);
      if (ordered.length > 0 && command.byResponder !== true)
        return refused(
          'responder-only',
          `Request ${request.id} re-issues what a review ordered: only a responder cancels that. Ask one.`,
        );
      waiveReissues(draft, ordered, command);
      const mint = mintOf(draft);
      if (mint !== undefined) destroyMint(draft, mint, 'cancelled');
      draft.finish('cancelled', command.reason);
      return accepted;
    }
    case 'retry':
      return retryNow(draft) ? accepted : refused('not-stuck', 'No step of this request waits for another attempt.');
    case 'rollback': {
      if (request.kind !== 'rotation')
        return refused('not-rollbackable', `A request of kind ${request.kind} has nothing to roll back to.`);
      const obstacle = rollback(draft, command);
      return obstacle === undefined ? accepted : refused(obstacle.slug, obstacle.detail);
    }
    case 'resolve':
      return resolve(draft, command);
    case 'amend':
      if (isCommitted || mintOf(draft) !== undefined || draft.state.effect.revoked) {
        return refused('not-amendable', 'The effect has begun. Cancel the request, or change the identity afterwards.');
      }
      if (request.kind !== 'onboarding') return refused('not-amendable', 'Only an onboarding can be amended.');
      if (amendmentCheck === undefined)
        throw new TypeError('An amendment is checked as an opening is before it is taken.');
      if (amendmentCheck.obstacle !== undefined) {
        const { slug, detail } = amendmentCheck.obstacle;
        return { accepted: false, slug, detail };
      }
      draft.change({ change: 'amend', by: command.by, subject: command.subject, reason: command.reason });
      draft.enter(0);
      return accepted;
  }
}

/** A person vouches for a destroy that the issuer cannot confirm: the receipt says so (promise 10). */
function resolve(draft: Draft, command: Extract<Command, { do: 'resolve' }>): Verdict {
  const credential = draft.facts.credentials.find(({ version }) => version === command.version);
  // Confirmed once, it may be the last look after the lease that the issuer does not answer.
  const step = `${credential?.hasReceipt ? 'sweep' : 'destroy'}-v${command.version}`;
  const isOurs = draft.state.effect.revoked || isMine(draft, command.version);
  if (credential?.state !== 'destroying' || draft.state.effect.retries[step] === undefined || !isOurs) {
    return refused('not-stuck', `Version ${command.version} is not waiting for the issuer to confirm its destruction.`);
  }
  forgetFailures(draft, step);
  const until = credential.expiresAt ?? credential.leaseEndsAt;
  const receipt: Receipt = {
    method: 'unverifiable',
    because: `${resolvedByHand}${command.reason}`,
    at: draft.facts.guardFacts.now,
    stillUsable:
      Date.parse(until) > draft.nowMs
        ? [{ what: `credential version ${command.version}, if it still exists at the issuer`, until }]
        : [],
  };
  recordDestroyed(draft, command.version, { receipt }, draft.nowMs);
  return accepted;
}
