import { agentPrincipal } from '../agents.ts';
import type { Approver } from '../decisions.ts';
import type { Facts, PublicationRequestFacts, SharedFacts, StepUpRequestFacts } from './facts.ts';
import type { Flow, GivenFacts } from './language.ts';

/** What a test inside a flow file need not say: neutral facts, and a small directory of people. */

/** When every test begins, unless it gives `now`. */
const testBeginsAt = '2026-01-01T00:00:00.000Z';
const thirtyDaysMs = 30 * 24 * 3600 * 1000;

/** People whom tests may name without giving them; a test adds its own under `given.people`. */
export const testPeople: ReadonlyMap<string, Omit<Approver, 'id'>> = new Map([
  ['security-1', { active: true, groups: ['security'] }],
  ['security-2', { active: true, groups: ['security'] }],
  ['security-lead', { active: true, groups: ['security', 'security-lead'] }],
  ['bystander', { active: true, groups: [] }],
]);

/** Roles that an event of a test may name instead of a person. */
export const testRoles = ['owner', 'requester', 'onBehalfOf', 'agent'] as const;

/**
 * The facts of a test: what it gives, and for the rest a development identity of the flow's kind with 30 days to live,
 * asked for by an active person who does not own it. Of a step-up: an agent that asks for itself, for what its policy covers.
 * Of a publication: one flow of that person, which weakens nothing.
 */
export function factsOfTest(flow: Flow, given: GivenFacts): Facts {
  const now = typeof given['now'] === 'string' ? given['now'] : testBeginsAt;
  const neutral = { ...shared(flow, now), ...about(flow, now) };
  const merged = Object.entries(neutral).map(([root, value]) => {
    if (typeof value === 'string') return [root, value];
    return [root, { ...value, ...Object(given[root]) }];
  });
  return Object.fromEntries(merged) as unknown as Facts;
}

/** An identity, or what a publication would change. */
function about({ on, subject }: Flow, now: string): Partial<StepUpRequestFacts & PublicationRequestFacts> {
  if (on === 'publication') {
    const counts = { retires: 0, weakens: 0, strengthens: 0, changesDecisions: 0 };
    return { publication: { names: ['example'], operations: ['onboarding'], isRollback: false, ...counts } };
  }
  return {
    ...(on === 'step-up' ? ofStepUp : {}),
    subject: {
      id: testIdentity,
      kind: subject.kind ?? (on === 'step-up' ? 'agent' : 'service-account'),
      name: 'example',
      environment: 'development',
      purpose: 'a test',
      integration: 'example',
      scopes: [],
      consumers: [],
      labels: {},
      expiresAt: new Date(Date.parse(now) + thirtyDaysMs).toISOString(),
      issuer: 'example-issuer',
      store: 'example-store',
    },
    owner: { id: 'olga', active: true, groups: [] },
  };
}

const testIdentity = 'test-identity';

const ofStepUp: Pick<StepUpRequestFacts, 'tool' | 'policy' | 'delegation'> = {
  tool: { name: 'example', action: 'read', resource: 'example', workspace: 'development' },
  policy: { coversAction: true, coversResource: true, coversWorkspace: true },
  delegation: { isVerified: false },
};

function shared({ on }: Flow, now: string): SharedFacts {
  return {
    requester:
      on === 'step-up'
        ? { id: agentPrincipal(testIdentity), kind: 'agent', active: true, groups: [] }
        : { id: 'rui', kind: 'person', active: true, groups: [] },
    onBehalfOf: { id: '', active: false, groups: [] },
    request: { kind: on, trigger: 'person', justification: 'a test' },
    risk: { score: 0 },
    now,
  };
}

/** The person whom a test calls `name`: a role, one of `given.people`, or one of `testPeople`; undefined for nobody. */
export function personOfTest(name: string, given: GivenFacts, facts: Facts): Approver | undefined {
  if (name === 'owner') return 'owner' in facts ? facts.owner : undefined;
  if (name === 'requester') return facts.requester;
  if (name === 'agent') return facts.requester.kind === 'agent' ? facts.requester : undefined;
  if (name === 'onBehalfOf') return facts.onBehalfOf.id === '' ? undefined : facts.onBehalfOf;
  const people: Readonly<Record<string, Omit<Approver, 'id'>>> = Object(given['people']);
  const person = Object.hasOwn(people, name) ? people[name] : testPeople.get(name);
  return person === undefined ? undefined : { id: name, active: person.active, groups: person.groups };
}
