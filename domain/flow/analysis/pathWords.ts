import { durationMs } from '../duration.ts';
import type { ApprovalStage, Effect, IsoDuration, Separation, Stage, StepUpParty, StepUpStage } from '../language.ts';
import type { FlowPath, PathEnd, PathStep } from './path.ts';
import { exceptionWords } from './waivers.ts';
import { spanWords } from './words.ts';

/** Steps and ends of a path, in the words of a security reviewer. */

const effectWords: Readonly<Record<Effect, string>> = {
  issue: 'the credential is issued',
  rotate: 'the credential is rotated',
  revoke: 'every credential is revoked',
  review: 'the review is complete',
  publish: 'the flows are published',
  grant: 'access is granted',
};

/** What happens at one stage of a path. */
export function stepWords({ stage, outcome }: PathStep): string {
  switch (outcome.is) {
    case 'skipped':
      return 'does not apply';
    case 'not-told':
      return 'not told: its condition cannot be evaluated';
    case 'passed-over':
      return 'not asked: a responder revokes at once';
    case 'waived':
      return `waived for ${listed(outcome.by.map(exceptionWords))}`;
    case 'verified':
      return 'verified';
    case 'refused':
      return `refused: ${outcome.reason}`;
    case 'not-evaluated':
      return `refused: its ${unevaluated[outcome.guard]} cannot be evaluated`;
    case 'proven':
      return 'stepUp' in stage ? proofWords(stage) : 'proven';
    case 'approved':
      return 'approval' in stage ? `approved by ${approverWords(stage, outcome.escalated)}` : 'approved';
    case 'denied-by-approver':
      return `denied by ${'approval' in stage ? denierWords(stage) : 'one'} of those who may approve`;
    case 'timed-out':
      return 'approval' in stage ? `not approved within ${durationWords(stage.approval.timeout.after)}` : 'timed out';
    case 'waited':
      return 'wait' in stage ? `waited ${durationWords(stage.wait.for)}` : 'waited';
    case 'request-timed-out':
      return `not ${reached(stage)} before the life of the request ends`;
    case 'begun':
      return 'effect' in stage ? effectWords[stage.effect] : 'done';
    case 'identity-expired':
      return 'refused: the identity has expired';
    case 'new-owner-not-active':
      return 'refused: the new owner is not active';
    case 'published-meanwhile':
      return 'refused: other flows were published meanwhile';
    case 'outside-policy':
      return 'refused: its policy does not cover it';
    case 'notified':
      return 'notify' in stage ? `tells ${stage.notify.to.map(recipientWords).join(', ')}` : 'told';
  }
}

/** What did not come about in time. */
function reached(stage: Stage): string {
  if ('stepUp' in stage) return 'proven';
  return 'wait' in stage ? 'over' : 'approved';
}

const unevaluated = { when: 'condition', that: 'check', risk: 'risk' } as const;

/** `the owner proves afresh that it is them (signed in at most 5 minutes ago)`. */
export function proofWords({ stepUp }: StepUpStage): string {
  const age = durationWords(stepUp.maxAge);
  if (stepUp.by === 'agent') return `the agent proves afresh by its key that it is it (signed at most ${age} ago)`;
  return `${partyWords[stepUp.by]} proves afresh that it is them (signed in at most ${age} ago)`;
}

/** How many of whom, and who of them may not: `2 of group:security (not the requester or the owner)`. */
export function approverWords({ approval }: ApprovalStage, escalated: boolean): string {
  const { require: sources, separation, escalate } = approval;
  const who = sources.map(({ from, count }) => (from === 'owner' ? 'the owner' : `${count} of ${from}`)).join(' and ');
  const wider =
    escalated && escalate !== undefined
      ? `, some of them of ${escalate.to} after ${durationWords(escalate.after)}`
      : '';
  const apart = listed(separation.map((role) => separatedWords[role]));
  return `${who}${wider}${apart === '' ? '' : ` (not ${apart})`}`;
}

/** How many denials end it: `one`, `2`. */
export function denierWords({ approval: { denials = 1 } }: ApprovalStage): string {
  return denials === 1 ? 'one' : `${denials}`;
}

export const separatedWords: Readonly<Record<Separation, string>> = {
  requester: 'the requester',
  onBehalfOf: 'the person it acts for',
  owner: 'the owner',
  flowAuthor: 'the author of the flow',
};

export const partyWords: Readonly<Record<StepUpParty, string>> = {
  requester: separatedWords.requester,
  onBehalfOf: separatedWords.onBehalfOf,
  owner: separatedWords.owner,
  agent: 'the agent',
};

const recipientWords = (to: string): string => (to.startsWith('group:') ? to : `the ${to}`);

/** `denied: owner-not-valid`, `completed`. */
export function endWords({ state, reason }: PathEnd): string {
  return reason === undefined ? state : `${state}: ${reason}`;
}

/** A path in one line, for a finding: its stages in order and its end. */
export function pathInWords(path: FlowPath): string {
  const steps = path.steps
    .filter(({ outcome }) => !['skipped', 'notified', 'not-told'].includes(outcome.is))
    .map((step) => `${step.stage.id}: ${stepWords(step)}`);
  return [...steps, endWords(path.end)].join(' → ');
}

/** `a, b or c`. */
export function listed(words: readonly string[]): string {
  const last = words.at(-1);
  return words.length < 2 || last === undefined ? words.join('') : `${words.slice(0, -1).join(', ')} or ${last}`;
}

/** `P1DT12H` as `36 hours`. */
export const durationWords = (duration: IsoDuration): string => spanWords(BigInt(durationMs(duration)));
