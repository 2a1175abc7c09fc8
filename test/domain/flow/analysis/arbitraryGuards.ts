import fc from 'fast-check';
import type { IdentityRequestFacts as Facts } from '../../../../domain/flow/facts.ts';
import { identityKinds } from '../../../../domain/flow/language.ts';
import { exampleFacts } from '../exampleFacts.ts';

/** Guards over few facts, and facts about which they differ: so that every outcome of every guard comes up. */

const atoms = [
  'owner.active',
  'requester.active == true',
  'subject.environment == "production"',
  '"staging" != subject.environment',
  'subject.environment in ["staging", "production"]',
  'subject.environment.startsWith("pro")',
  'subject.kind == "agent"',
  'request.trigger == "pipeline"',
  'risk.score >= 60',
  '10 < risk.score',
  'risk.score - 5 == 20',
  'size(subject.scopes) < 2',
  '"admin" in subject.scopes',
  'subject.scopes.exists(s, s == subject.labels.team)',
  'has(subject.labels.team)',
  '"tier" in subject.labels',
  'subject.labels.team == "payments"',
  'subject.labels["tier"] in ["gold", "silver"]',
  'subject.labels.team == subject.labels.tier',
  'owner.id == requester.id',
  'requester.id != owner.id',
  'owner.id in [requester.id, "olga"]',
  'timestamp(subject.expiresAt) > timestamp(now)',
  'timestamp(subject.expiresAt) - timestamp(now) <= duration("2160h")',
  'timestamp(now) + duration("24h") >= timestamp(subject.expiresAt)',
  'timestamp(now) < timestamp("2026-06-01T00:00:00Z")',
];

export const anyGuard: fc.Arbitrary<string> = fc
  .letrec<{ guard: string }>((tie) => ({
    guard: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      fc.constantFrom(...atoms),
      tie('guard').map((of) => `!(${of})`),
      fc.tuple(tie('guard'), tie('guard')).map(([one, two]) => `(${one}) && (${two})`),
      fc.tuple(tie('guard'), tie('guard')).map(([one, two]) => `(${one}) || (${two})`),
      fc.tuple(tie('guard'), tie('guard'), tie('guard')).map(([one, two, three]) => `(${one}) ? (${two}) : (${three})`),
    ),
  }))
  .guard.filter((guard) => guard.length < 600);

/** Of those that are asked before the risk is known. */
export const anyGuardBeforeRisk = anyGuard.filter((guard) => !guard.includes('risk'));

const hourMs = 3_600_000;
const now = '2026-03-01T00:00:00.000Z';
const label = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });

export const anyFacts: fc.Arbitrary<Facts> = fc
  .record({
    environment: fc.constantFrom('production', 'staging', 'protected', 'elsewhere'),
    kind: fc.constantFrom(...identityKinds),
    scopes: fc.subarray(['admin', 'payments', 'read']),
    team: label('payments', 'other', 'gold'),
    tier: label('gold', 'payments', 'bronze'),
    lifeHours: fc.constantFrom(-1, 0, 12, 24, 25, 2160, 2161, 2400),
    isOwnerActive: fc.boolean(),
    isRequesterActive: fc.boolean(),
    owner: fc.constantFrom('olga', 'rui', 'ola'),
    trigger: fc.constantFrom('person' as const, 'pipeline' as const, 'schedule' as const),
    score: fc.constantFrom(0, 10, 11, 25, 59, 60),
    isLater: fc.boolean(),
  })
  .map((given) => {
    const at = given.isLater ? '2026-07-01T00:00:00.000Z' : now;
    const labels = Object.entries({ team: given.team, tier: given.tier }).filter(([, value]) => value !== undefined);
    return {
      ...exampleFacts,
      subject: {
        ...exampleFacts.subject,
        environment: given.environment,
        kind: given.kind,
        scopes: given.scopes,
        labels: Object.fromEntries(labels) as Record<string, string>,
        expiresAt: new Date(Date.parse(at) + given.lifeHours * hourMs).toISOString(),
      },
      owner: { id: given.owner, active: given.isOwnerActive, groups: [] },
      requester: { id: 'rui', kind: 'person' as const, active: given.isRequesterActive, groups: [] },
      request: { ...exampleFacts.request, trigger: given.trigger },
      risk: { score: given.score },
      now: at,
    };
  });
