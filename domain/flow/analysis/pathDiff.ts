import { durationMs } from '../duration.ts';
import type { ApprovalStage, Flow, RequestKind } from '../language.ts';
import type { Atom } from './atoms.ts';
import type { Label } from './change.ts';
import { pathConditions } from './conditions.ts';
import type { Formula } from './formula.ts';
import { afterwards } from './moments.ts';
import type { FlowPath } from './path.ts';
import { pathsOfFlows } from './paths.ts';
import { approverWords, endWords } from './pathWords.ts';
import { keepsAway } from './prove.ts';
import { canBe, TooComplex } from './theory.ts';

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

/** What comes of facts, if every approver who is asked agrees. */
interface Route {
  readonly on: RequestKind;
  readonly conditions: readonly Formula[];
  readonly flow: Flow | undefined;
  /** Undefined when the request is denied whatever people say. */
  readonly approvals: readonly ApprovalStage[] | undefined;
  readonly words: string;
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
    const words = begun === undefined ? endWords(path.end) : `${begun.stage.id}${approvedWords(approvals)}`;
    const flow = path.flow === undefined ? 'no flow' : path.flow.metadata.name;
    return [
      {
        on: path.on,
        conditions,
        flow: path.flow,
        approvals: begun === undefined ? undefined : approvals,
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
    case 'verified':
    case 'refused':
    case 'not-evaluated':
    case 'begun':
    case 'identity-expired':
    case 'new-owner-not-active':
    case 'notified':
    case 'not-told':
      return true;
  }
}

function approvedWords(approvals: readonly ApprovalStage[]): string {
  if (approvals.length === 0) return ' without any approval';
  return ` after ${approvals.map((stage) => approverWords(stage, false)).join(', then ')}`;
}

function comparison(was: Route, is: Route): Pick<PathChange, 'label' | 'because'> | undefined {
  if (was.approvals === undefined && is.approvals === undefined) return undefined;
  if (was.approvals === undefined) return { label: 'WEAKENS', because: 'it is let through now' };
  if (is.approvals === undefined) return { label: 'STRENGTHENS', because: 'it is denied now' };
  const [asStrict, wasAsStrict] = [covers(is.approvals, was.approvals), covers(was.approvals, is.approvals)];
  if (asStrict && wasAsStrict) return undefined;
  if (asStrict) return { label: 'STRENGTHENS', because: 'more people must agree, and can block' };
  if (wasAsStrict) return { label: 'WEAKENS', because: 'fewer people must agree, or more may' };
  return { label: 'WEAKENS', because: 'other people agree than before, and some of those could block' };
}

/**
 * Whether each of these approvals has one among the others, for itself alone, that is at least as strict. Bipartite
 * matching by augmenting paths, so that many stages take no longer than they must.
 */
function covers(stricter: readonly ApprovalStage[], approvals: readonly ApprovalStage[]): boolean {
  const takenBy = new Map<ApprovalStage, ApprovalStage>();
  function seat(approval: ApprovalStage, visited: Set<ApprovalStage>): boolean {
    for (const place of stricter) {
      if (visited.has(place) || !isAsStrict(place, approval)) continue;
      visited.add(place);
      const holder = takenBy.get(place);
      if (holder === undefined || seat(holder, visited)) {
        takenBy.set(place, approval);
        return true;
      }
    }
    return false;
  }
  return approvals.every((approval) => seat(approval, new Set()));
}

function isAsStrict(one: ApprovalStage, another: ApprovalStage): boolean {
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

function isAfterwards(formula: Formula): boolean {
  switch (formula.op) {
    case 'constant':
      return false;
    case 'atom':
      return momentOf(formula.atom) === afterwards;
    case 'not':
    case 'fails':
      return isAfterwards(formula.of);
    case 'all':
    case 'any':
      return formula.of.some(isAfterwards);
    case 'if':
      return [formula.condition, formula.whenTrue, formula.whenFalse].some(isAfterwards);
  }
}

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
  switch (formula.op) {
    case 'constant':
      return formula;
    case 'atom':
      return { op: 'atom', atom: atomAtOneMoment(formula.atom) };
    case 'not':
    case 'fails':
      return { op: formula.op, of: atOneMoment(formula.of) };
    case 'all':
    case 'any':
      return { op: formula.op, of: formula.of.map(atOneMoment) };
    case 'if': {
      const { condition, whenTrue, whenFalse } = formula;
      return {
        op: 'if',
        condition: atOneMoment(condition),
        whenTrue: atOneMoment(whenTrue),
        whenFalse: atOneMoment(whenFalse),
      };
    }
  }
}

function atomAtOneMoment(atom: Atom): Atom {
  const moment = '';
  switch (atom.kind) {
    case 'text':
    case 'present':
    case 'flag':
      return { ...atom, fact: { ...atom.fact, moment } };
    case 'number':
      return { ...atom, of: { ...atom.of, moment } };
    case 'free':
      return { ...atom, moment, ...(atom.single && { single: { ...atom.single, moment } }) };
  }
}
