import type { IdentityRequestFacts } from '../../../domain/flow/facts.ts';

/** Facts of an onboarding that a security team would expect: every field filled, nothing special. */
export const exampleFacts: IdentityRequestFacts = {
  subject: {
    id: '7zq3kfw2m4t5x6y7z2a3b4c5d6',
    kind: 'service-account',
    name: 'payments-reader',
    environment: 'production',
    purpose: 'reads settled payments',
    integration: 'payments',
    scopes: ['payments:read', 'ledger:read'],
    consumers: ['pipeline:payments-deploy'],
    labels: { team: 'payments', constructor: 'acme' },
    expiresAt: '2027-01-15T00:00:00.000Z',
    issuer: 'main-db',
    store: 'sealed',
  },
  owner: { id: 'ola@example.com', active: true, groups: ['payments'] },
  requester: { id: 'rui@example.com', active: true, groups: ['payments', 'requester'], kind: 'person' },
  onBehalfOf: { id: '', active: false, groups: [] },
  request: { kind: 'onboarding', trigger: 'person', justification: 'settlement reports' },
  risk: { score: 20 },
  now: '2026-11-05T12:00:00.000Z',
};
