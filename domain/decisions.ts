import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { AgentPolicy, AgentRegistration } from './agents.ts';
import { authorsOf } from './flow/authors.ts';
import type { SubjectFacts, Trigger } from './flow/facts.ts';
import type { ApprovalStage, RequestKind } from './flow/language.ts';
import type { PublicationProposal } from './flow/publication.ts';
import type { ReviewProposal } from './flow/review.ts';
import type { Risk } from './flow/risk.ts';
import type { StepUpAsk } from './stepUp.ts';

/** What an approver is shown, and nothing else: the decision binds its digest (promise 5). */
export type Review = ReviewOfIdentity | ReviewOfPublication;

interface ReviewedRequest {
  readonly requestId: string;
  readonly revision: number;
  readonly kind: RequestKind;
  readonly trigger: Trigger;
  readonly flowDigest: string;
  readonly stage: string;
  readonly requesterId: string;
  readonly onBehalfOf: string;
  readonly justification: string;
  /** Of a flow with weights: as it was assessed last. */
  readonly risk?: Risk;
}

export interface ReviewOfIdentity extends ReviewedRequest {
  readonly ownerId: string;
  readonly subject: SubjectFacts;
  /** Of a review only: what becomes of the subject when it passes. */
  readonly proposal?: ReviewProposal;
  /** Agents only: what it may be granted at most. */
  readonly policy?: AgentPolicy;
  /** Onboardings and rotations of agents only: what it is to authenticate with. */
  readonly registration?: AgentRegistration;
  /** Of a step-up only: what is granted when it passes. */
  readonly stepUp?: StepUpAsk;
}

export interface ReviewOfPublication extends ReviewedRequest {
  readonly publication: PublicationProposal;
}

/** SHA-256 (hex) of the RFC 8785 form of the review: what decisions of the first version name. Later ones: `digestOfCaseFile`. */
export function digestOfReview(review: Review): string {
  return createHash('sha256').update(canonicalText(review)).digest('hex');
}

function canonicalText(value: object): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('A review must be plain JSON; this one is not.');
  return text;
}

export interface Approver {
  readonly id: string;
  readonly active: boolean;
  readonly groups: readonly string[];
}

/** Everybody whose own interest `separation` may keep from deciding. */
export interface Parties {
  readonly requesters: readonly string[];
  /** The people behind machine requesters: resolved first, they count as requesters too (promise 4). */
  readonly onBehalfOf: readonly string[];
  /** Absent of a publication: nobody owns the flows. */
  readonly ownerId?: string;
  /** Who is to own it after a review: attests in the owner's place, and is kept from deciding wherever the owner is. */
  readonly newOwnerId?: string;
  /** One or several (`authorsOf`). */
  readonly flowAuthor: string;
}

export type Eligibility =
  | { readonly may: true }
  | { readonly may: false; readonly slug: 'self-approval' | 'not-eligible'; readonly detail: string };

/** Whether this person may decide at this stage now. Pure: the API asks before signing, `advance` again under the lock. */
export function mayDecide(approver: Approver, stage: ApprovalStage, parties: Parties, escalated: boolean): Eligibility {
  if (!approver.active) {
    return notEligible(`${approver.id} is not an active person of the directory.`);
  }
  const separatedAs = separationOf(approver.id, stage, parties);
  if (separatedAs !== undefined) {
    const detail = `${approver.id} is ${separatedAs} of this request, and the flow keeps that person from deciding stage ${stage.id}. Ask another approver.`;
    return { may: false, slug: 'self-approval', detail };
  }
  if (sourcesOf(stage, escalated).some((source) => isFrom(approver, source, parties))) return { may: true };
  return notEligible(
    `${approver.id} is in none of ${sourcesOf(stage, escalated).join(', ')}, who decide stage ${stage.id}.`,
  );
}

/**
 * Whether these approvers, each counted once and for one entry only, meet every entry of `require`.
 * Bipartite matching by augmenting paths: a person in two groups is used where needed.
 */
export function isQuorum(
  approvers: readonly Approver[],
  stage: ApprovalStage,
  parties: Parties,
  escalated: boolean,
): boolean {
  const eligible = approvers.filter((approver) => mayDecide(approver, stage, parties, escalated).may);
  const places = stage.approval.require.flatMap(({ from, count }) => Array.from({ length: count }, () => from));
  const takenBy = new Map<number, Approver>();

  function seat(approver: Approver, visited: Set<number>): boolean {
    for (const [place, source] of places.entries()) {
      if (visited.has(place) || !fits(approver, source)) continue;
      visited.add(place);
      const holder = takenBy.get(place);
      if (holder === undefined || seat(holder, visited)) {
        takenBy.set(place, approver);
        return true;
      }
    }
    return false;
  }
  function fits(approver: Approver, source: string): boolean {
    const escalation = stage.approval.escalate;
    return (
      isFrom(approver, source, parties) ||
      (escalated && escalation !== undefined && isFrom(approver, escalation.to, parties))
    );
  }

  const distinct = [...new Map(eligible.map((approver) => [approver.id, approver])).values()];
  for (const approver of distinct) seat(approver, new Set());
  return places.length > 0 && takenBy.size === places.length;
}

function sourcesOf(stage: ApprovalStage, escalated: boolean): readonly string[] {
  const sources = stage.approval.require.map(({ from }) => from);
  const escalation = stage.approval.escalate;
  return escalated && escalation !== undefined ? [...sources, escalation.to] : sources;
}

function isFrom(approver: Approver, source: string, parties: Parties): boolean {
  if (source === 'owner') return approver.id === (parties.newOwnerId ?? parties.ownerId);
  return source.startsWith('group:') && approver.groups.includes(source.slice('group:'.length));
}

function separationOf(id: string, stage: ApprovalStage, parties: Parties): string | undefined {
  const { separation } = stage.approval;
  if (separation.includes('requester') && parties.requesters.includes(id)) return 'a requester';
  if (separation.includes('requester') && parties.onBehalfOf.includes(id)) return 'the person behind a requester';
  if (separation.includes('onBehalfOf') && parties.onBehalfOf.includes(id)) return 'the person it acts for';
  if (separation.includes('owner') && parties.ownerId === id) return 'the owner';
  if (separation.includes('owner') && parties.newOwnerId === id) return 'the owner to be';
  if (separation.includes('flowAuthor') && authorsOf(parties.flowAuthor).includes(id)) return 'the author of the flow';
  return undefined;
}

export function notEligible(detail: string): Eligibility {
  return { may: false, slug: 'not-eligible', detail };
}
