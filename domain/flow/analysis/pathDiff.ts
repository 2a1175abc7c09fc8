import { durationMs } from '../duration.ts';
import type { ApprovalStage, Flow, RequestKind, Stage, StepUpStage } from '../language.ts';
import type { Atom } from './atoms.ts';
import type { Label } from './change.ts';
import { pathConditions } from './conditions.ts';
import { atomsOf, type Formula, mapAtoms } from './formula.ts';
import { afterwards } from './moments.ts';
import type { FlowPath } from './path.ts';
import { pathsOfFlows } from './paths.ts';
import { approverWords, denierWords, endWords, proofWords } from './pathWords.ts';
import { keepsAway, waitedMs } from './prove.ts';
import { canBe, TooComplex } from './theory.ts';
import { spanWords } from './words.ts';

/** Requests that two sets of flows treat differently, for the same facts. */

export interface PathChange {
  readonly label: Exclude<Label, 'NEUTRAL'>;
  readonly on: RequestKind;
  /** For which requests. */
  readonly conditions: readonly string[];
  /** Under which flow, and what came of it: `issue after 2 of group:security`, `denied: no-flow`. */
  readonly was: string;
  readonly is: string;
  readonly because: string;
}

/** Pairs of ways that are compared: beyond it, nobody reads the answer. */
const pairLimit = 40_000;

/** What comes of facts, if everybody who is asked agrees. */
interface Route {
  readonly on: RequestKind;
  readonly conditions: readonly Formula[];
  readonly flow: Flow | undefined;
  /** What stands before the effect; undefined when the request is denied whatever people say. */
  readonly demands: Demands | undefined;
  readonly words: string;
}

interface Demands {
  readonly approvals: readonly ApprovalStage[];
  readonly proofs: readonly StepUpStage[];
  /** How long its waits last together. */
  readonly waitMs: number;
}

/**
 * Every kind of request that is let through now and was not, or with fewer people who can block it, and the opposite; what
 * weakens first. Responders' revocations, which ask nobody, are the same under all flows.
 * @throws TooComplex for more than `pairLimit` pairs
 */
export function pathChanges(before: readonly Flow[], after: readonly Flow[]): readonly PathChange[] {
  const [were, are] = [routesOf(before), routesOf(after)];
  if (were.length * are.length > pairLimit)
    throw new TooComplex(
      `There are ${were.length} and ${are.length} ways to be let through or denied. Compare flow by flow.`,
    );
  const changes = are.flatMap((is) =>
    were.flatMap((was): readonly PathChange[] => {
      if (was.on !== is.on) return [];
      const compared = comparison(was, is);
      const conditions = [...was.conditions, ...is.conditions];
      if (compared === undefined || !canBe(conditions)) return [];
      return [{ ...compared, on: is.on, conditions: pathConditions({ conditions }), was: was.words, is: is.words }];
    }),
  );
  const order = ({ label }: PathChange): number => (label === 'WEAKENS' ? 0 : 1);
  return changes.sort((one, another) => order(one) - order(another));
}

function routesOf(flows: readonly Flow[]): readonly Route[] {
  return pathsOfFlows(flows).flatMap((path): readonly Route[] => {
    if (!path.steps.every(({ outcome }) => isOfFacts(outcome))) return [];
    // Where people are waited for, facts may change; two policies are compared over facts that do not.
    const conditions = path.conditions.filter((formula) => !isAfterwards(formula)).map(atOneMoment);
    if (!canBe(conditions)) return [];
    const begun = path.steps.find(({ outcome }) => outcome.is === 'begun');
    const approvals = path.steps.flatMap(({ stage, outcome }) =>
      'approval' in stage && outcome.is === 'approved' ? [stage] : [],
    );
    const proofs = path.steps.flatMap(({ stage, outcome }) =>
      'stepUp' in stage && outcome.is === 'proven' ? [stage] : [],
    );
    const demands = { approvals, proofs, waitMs: waitedMs(path) };
    const words = begun === undefined ? endWords(path.end) : `${begun.stage.id}${demandWords(demands)}`;
    const flow = path.flow === undefined ? 'no flow' : path.flow.metadata.name;
    return [
      {
        on: path.on,
        conditions,
        flow: path.flow,
        demands: begun === undefined ? undefined : demands,
        words: `${words} (${flow})`,
      },
    ];
  });
}

function isOfFacts(outcome: FlowPath['steps'][number]['outcome']): boolean {
  switch (outcome.is) {
    case 'passed-over':
    case 'denied-by-approver':
    case 'timed-out':
    case 'request-timed-out':
      return false;
    case 'approved':
      return !outcome.escalated;
    case 'skipped':
    case 'waived':
    case 'verified':
    case 'proven':
    case 'waited':
    case 'refused':
    case 'not-evaluated':
    case 'begun':
    case 'identity-expired':
    case 'new-owner-not-active':
    case 'published-meanwhile':
    case 'outside-policy':
    case 'notified':
    case 'not-told':
      return true;
  }
}

function demandWords({ approvals, proofs, waitMs }: Demands): string {
  const proven = proofs.map((stage) => `, and ${proofWords(stage)}`).join('');
  const waited = waitMs === 0 ? '' : `, and ${spanWords(BigInt(waitMs))} of waiting`;
  if (approvals.length === 0) return ` without any approval${proven}${waited}`;
  const approved = approvals.map((stage) => {
    const { denials = 1 } = stage.approval;
    return `${approverWords(stage, false)}${denials === 1 ? '' : `, denied only by ${denierWords(stage)}`}`;
  });
  return ` after ${approved.join(', then ')}${proven}${waited}`;
}

function comparison(was: Route, is: Route): Pick<PathChange, 'label' | 'because'> | undefined {
  if (was.demands === undefined && is.demands === undefined) return undefined;
  if (was.demands === undefined) return { label: 'WEAKENS', because: 'it is let through now' };
  if (is.demands === undefined) return { label: 'STRENGTHENS', because: 'it is denied now' };
  const [fewer, more] = [demandedLess(is.demands, was.demands), demandedLess(was.demands, is.demands)];
  if (fewer.length === 0 && more.length === 0) return undefined;
  if (fewer.length === 0)
    return { label: 'STRENGTHENS', because: more.map((less) => opposites.get(less) ?? less).join('; ') };
  const isOther = fewer[0] === lessAgreement && more[0] === lessAgreement;
  const agreement = 'other people agree than before, and some of those could block';
  return { label: 'WEAKENS', because: [...(isOther ? [agreement] : []), ...fewer.slice(isOther ? 1 : 0)].join('; ') };
}

const lessAgreement = 'fewer people must agree, or more may';
const fewerBlock = 'fewer people can block it';
const lessProof = 'less of it is proven afresh, or by other people';
const lessWaiting = 'it waits for less long';
/** What is said of the same, seen from the other side. */
const opposites: ReadonlyMap<string, string> = new Map([
  [lessAgreement, 'more people must agree, and can block'],
  [fewerBlock, 'more people can block it'],
  [lessProof, 'more of it is proven afresh'],
  [lessWaiting, 'it waits for longer'],
]);

/** In what `one` demands less than `another`: agreement first. */
function demandedLess(one: Demands, another: Demands): readonly string[] {
  const found: string[] = [];
  if (!covers(one.approvals, another.approvals, asksAsMuch)) found.push(lessAgreement);
  else if (!covers(one.approvals, another.approvals, isAsStrict)) found.push(fewerBlock);
  if (!covers(one.proofs, another.proofs, provesAsMuch)) found.push(lessProof);
  if (one.waitMs < another.waitMs) found.push(lessWaiting);
  return found;
}

/**
 * Whether each of these stages has one among the others, for itself alone, that is at least as strict. Bipartite
 * matching by augmenting paths, so that many stages take no longer than they must.
 */
function covers<S extends Stage>(
  stricter: readonly S[],
  demanded: readonly S[],
  isEnough: (one: S, another: S) => boolean,
): boolean {
  const takenBy = new Map<S, S>();
  function seat(stage: S, visited: Set<S>): boolean {
    for (const place of stricter) {
      if (visited.has(place) || !isEnough(place, stage)) continue;
      visited.add(place);
      const holder = takenBy.get(place);
      if (holder === undefined || seat(holder, visited)) {
        takenBy.set(place, stage);
        return true;
      }
    }
    return false;
  }
  return demanded.every((stage) => seat(stage, new Set()));
}

function provesAsMuch({ stepUp: one }: StepUpStage, { stepUp: another }: StepUpStage): boolean {
  return one.by === another.by && durationMs(one.maxAge) <= durationMs(another.maxAge);
}

function isAsStrict(one: ApprovalStage, another: ApprovalStage): boolean {
  return asksAsMuch(one, another) && (one.approval.denials ?? 1) <= (another.approval.denials ?? 1);
}

function asksAsMuch(one: ApprovalStage, another: ApprovalStage): boolean {
  const { approval } = one;
  const { escalate } = another.approval;
  const asksAsMany = another.approval.require.every(({ from, count }) =>
    approval.require.some((source) => source.from === from && source.count >= count),
  );
  const escalatesNoFurther =
    approval.escalate === undefined ||
    (escalate?.to === approval.escalate.to && durationMs(approval.escalate.after) >= durationMs(escalate.after));
  return asksAsMany && escalatesNoFurther && another.approval.separation.every((role) => keepsAway(one, role));
}

const isAfterwards = (formula: Formula): boolean => atomsOf(formula).some((atom) => momentOf(atom) === afterwards);

function momentOf(atom: Atom): string {
  switch (atom.kind) {
    case 'text':
    case 'present':
    case 'flag':
      return atom.fact.moment;
    case 'number':
      return atom.of.moment;
    case 'free':
      return atom.moment;
  }
}

/** The same about facts that do not change while the request runs. */
function atOneMoment(formula: Formula): Formula {
  return mapAtoms(formula, (atom) => ({ op: 'atom', atom: atomAtOneMoment(atom) }));
}

function atomAtOneMoment(atom: Atom): Atom {
  const moment = '';
  switch (atom.kind) {
    case 'text':
    case 'present':
    case 'flag':
      return { ...atom, fact: { ...atom.fact, moment } };
    case 'number':
      return {
        ...atom,
        of: { ...atom.of, moment },
        ...(atom.sum && { sum: atom.sum.map(({ add, when }) => ({ add, when: atOneMoment(when) })) }),
      };
    case 'free':
      return { ...atom, moment, ...(atom.single && { single: { ...atom.single, moment } }) };
  }
}
