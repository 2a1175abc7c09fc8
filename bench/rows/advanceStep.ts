import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { advance, type FlowEvent } from '../../domain/flow/advance.ts';
import { initialFlowState, type LedgerFacts } from '../../domain/flow/state.ts';
import { exampleFacts } from '../../test/domain/flow/exampleFacts.ts';
import { type Finding, rounded } from '../finding.ts';
import { flowSource } from '../installation.ts';
import { compared, inTurns, rounds } from '../rounds.ts';
import type { Row } from '../row.ts';

/**
 * The pure step that decides, `opened`: every verify guard of the shipped flow for production service accounts, then the
 * plan, against one decision of Cedar on the same facts with the same conditions, its policies parsed beforehand.
 */
export const advanceStep: Row = {
  name: 'advance-step',
  group: 'flows',
  dependsOnServer: false,
  async run(ground, size) {
    const { count, times } = size === 'full' ? { count: 9, times: 4_000 } : { count: 1, times: 10 };
    const step = openedStep();
    const decision = cedarDecision();
    const pairs = await rounds({ count, say: ground.say, what: 'one pure step' }, (index) =>
      inTurns(
        index,
        async () => ({ us: microseconds(times, step) }),
        async () => ({ us: microseconds(times, decision) }),
      ),
    );
    const { ratio, spread, subject, baseline } = compared(pairs, 'us');
    const finding: Finding = {
      what: 'advance, the step that evaluates the guards',
      value: ratio,
      unit: '×',
      budget: { is: 'at most', value: 0.25 },
      subject: `${rounded(subject)} µs`,
      baseline: `cedar-wasm, policies parsed beforehand: ${rounded(baseline)} µs`,
      spread,
    };
    return [finding];
  },
};

function microseconds(times: number, work: () => void): number {
  const startedAt = performance.now();
  for (let time = 0; time < times; time += 1) work();
  return ((performance.now() - startedAt) * 1000) / times;
}

function openedStep(): () => void {
  const path = fileURLToPath(new URL('../../flows/onboarding-production-service-account.flow.yaml', import.meta.url));
  const { flow, digest } = flowSource(readFileSync(path, 'utf8'), path);
  const { subject, owner, requester, now } = exampleFacts;
  const facts: LedgerFacts = {
    request: {
      id: 'request',
      kind: 'onboarding',
      state: 'evaluating',
      revision: 1,
      flowDigest: digest,
      requesterId: requester.id,
      onBehalfOf: '',
      createdAt: now,
    },
    identity: { id: subject.id, state: 'requested', epoch: 0, highestVersion: 0 },
    credentials: [],
    guardFacts: exampleFacts,
    parties: { requesters: [requester.id], onBehalfOf: [], ownerId: owner.id, flowAuthor: 'security' },
    decisions: [],
    holds: [],
    endedHolds: [],
    orders: [],
    acknowledgedBy: [],
    reissues: [],
    leaseMs: 60_000,
  };
  const state = initialFlowState(now);
  const event: FlowEvent = { kind: 'opened', id: 'opened', atOnce: false };
  const step = () => advance({ flow, state, event, facts });
  if (step().next.state !== 'awaiting-approval') throw new Error('The step does not pass the guards to the approval.');
  return step;
}

/** The verify stages of that flow as Cedar policies. */
const policies = `
permit (principal is Person, action == Action::"onboard", resource is Identity)
when { resource.owner.active && resource.owner != principal };
forbid (principal, action == Action::"onboard", resource)
when { resource has labels && resource.labels has environment && resource.labels.environment != resource.environment };
forbid (principal, action == Action::"onboard", resource)
unless {
  datetime(context.expiresAt) > datetime(context.now) &&
  datetime(context.expiresAt).durationSince(datetime(context.now)) <= duration("2160h")
};`;

function cedarDecision(): () => void {
  const parsed = cedar.preparsePolicySet('bench', { staticPolicies: policies });
  if (parsed.type === 'failure') throw new Error(parsed.errors.map(({ message }) => message).join('\n'));
  const { subject, owner, requester, now } = exampleFacts;
  const person = ({ id, active, groups }: typeof owner) => ({
    uid: { type: 'Person', id },
    attrs: { active, groups: [...groups] },
    parents: [],
  });
  const call: cedar.StatefulAuthorizationCall = {
    principal: { type: 'Person', id: requester.id },
    action: { type: 'Action', id: 'onboard' },
    resource: { type: 'Identity', id: subject.id },
    context: { now, expiresAt: subject.expiresAt },
    preparsedPolicySetId: 'bench',
    entities: [
      person(owner),
      person(requester),
      {
        uid: { type: 'Identity', id: subject.id },
        attrs: {
          owner: { __entity: { type: 'Person', id: owner.id } },
          environment: subject.environment,
          labels: { ...subject.labels },
          kind: subject.kind,
          scopes: [...subject.scopes],
        },
        parents: [],
      },
    ],
  };
  const decide = () => cedar.statefulIsAuthorized(call);
  const answer = decide();
  if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join('\n'));
  const { decision, diagnostics } = answer.response;
  if (decision !== 'allow' || diagnostics.errors.length > 0)
    throw new Error(`Cedar decides ${decision}: ${JSON.stringify(diagnostics)}`);
  return decide;
}
