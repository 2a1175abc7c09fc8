import type { Facts } from './facts.ts';
import { evaluateGuard } from './guards.ts';
import type { Flow, RequestKind } from './language.ts';

export type Selection<Version> =
  | { readonly found: Version }
  /** `detail` says what was looked at, for the problem's text. */
  | { readonly none: 'no-flow' | 'guard-error'; readonly detail: string }
  /** Names of the flows that fit equally well. */
  | { readonly ambiguous: readonly string[] };

/**
 * The flow that governs a request: `on` is its kind, `subject.kind` and `subject.where` fit. The more specific wins: kind
 * and where, then where, then kind, then neither; of two equally specific ones, none (a policy that depends on an order is
 * no policy). A flow that names no kind is none for what lets an agent in (`mustNameAgents`). Pure. Fails closed: where one guard
 * cannot be evaluated, it may have been the stricter flow, so none is found.
 */
export function selectFlow<Version extends { readonly flow: Flow }>(
  versions: readonly Version[],
  facts: Facts,
): Selection<Version> {
  const { kind: requested } = facts.request;
  const kind = 'subject' in facts ? facts.subject.kind : undefined;
  const covered = 'subject' in facts ? facts.subject.name : 'this publication';
  const fitsKind = ({ subject }: Flow): boolean =>
    subject.kind === undefined ? kind !== 'agent' || !mustNameAgents(requested) : subject.kind === kind;
  const candidates = versions.filter(({ flow }) => flow.on === requested && fitsKind(flow));
  const fitting: Version[] = [];
  for (const version of candidates) {
    const { metadata, subject } = version.flow;
    const result = subject.where === undefined ? { value: true } : evaluateGuard(subject.where, facts);
    if ('error' in result) {
      return {
        none: 'guard-error',
        detail: `Whether flow ${metadata.name} covers ${covered} cannot be told: ${result.error}.`,
      };
    }
    if (result.value) fitting.push(version);
  }
  const highest = Math.max(...fitting.map(({ flow }) => specificity(flow)));
  const best = fitting.filter(({ flow }) => specificity(flow) === highest);
  const [found] = best;
  if (found === undefined) {
    const what = kind === undefined ? covered : `${requested} of ${kind} ${covered}`;
    const remedy =
      kind === 'agent' && mustNameAgents(requested)
        ? ' Only one with "subject: {kind: agent}" covers agents (docs/agents.md).'
        : '';
    return { none: 'no-flow', detail: `None of ${versions.length} flows covers ${what}.${remedy}` };
  }
  return best.length === 1 ? { found } : { ambiguous: best.map(({ flow }) => flow.metadata.name).sort() };
}

/**
 * Whether an agent is covered only by a flow that says so: where a policy is approved, or a key that acts as the agent. A
 * flow for everything else was written by somebody who thought of neither (docs/decisions/flows-for-agents.md).
 */
export function mustNameAgents(on: RequestKind): boolean {
  return on === 'onboarding' || on === 'rotation';
}

/** Higher where a flow says more about whom it covers; of two that fit, the higher governs. */
export function specificity({ subject }: Pick<Flow, 'subject'>): number {
  return (subject.where === undefined ? 0 : 2) + (subject.kind === undefined ? 0 : 1);
}
