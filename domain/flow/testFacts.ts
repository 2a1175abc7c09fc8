import type { Approver } from '../decisions.ts';
import type { Facts } from './facts.ts';
import type { RequestKind } from './language.ts';

/** What a test inside a flow file need not say: neutral facts, and a small directory of people. */

/** When every test begins, unless it gives `now`. */
export const testBeginsAt = '2026-01-01T00:00:00.000Z';

/** People whom tests may name without giving them; a test adds its own under `given.people`. */
export const testPeople: ReadonlyMap<string, Omit<Approver, 'id'>> = new Map([
  ['security-1', { active: true, groups: ['security'] }],
  ['security-2', { active: true, groups: ['security'] }],
  ['security-lead', { active: true, groups: ['security', 'security-lead'] }],
  ['bystander', { active: true, groups: [] }],
]);

/** Roles that an event of a test may name instead of a person. */
export const testRoles = ['owner', 'requester', 'onBehalfOf'] as const;

/** A development service account with 30 days to live, asked for by an active person who does not own it. */
export function neutralFacts(kind: RequestKind): Facts {
  return {
    subject: {
      id: 'test-identity',
      kind: 'service-account',
      name: 'example',
      environment: 'development',
      purpose: 'a test',
      integration: 'example',
      scopes: [],
      consumers: [],
      labels: {},
      expiresAt: '2026-01-31T00:00:00.000Z',
      issuer: 'example-issuer',
      store: 'example-store',
    },
    owner: { id: 'olga', active: true, groups: [] },
    requester: { id: 'rui', kind: 'person', active: true, groups: [] },
    onBehalfOf: { id: '', active: false, groups: [] },
    request: { kind, trigger: 'person', justification: 'a test' },
    risk: { score: 0 },
    now: testBeginsAt,
  };
}
