/** Flows of these tests: below production nothing is asked; in production two of security, or what a test writes instead. */

const twoOfSecurity = `require: [{from: group:security, count: 2}]
      separation: [requester, onBehalfOf, owner]
      timeout: {after: P1D, result: deny}`;

/** The effect at once, whatever the subject; of agents, where they are named. */
export function plainFlow(on: 'onboarding' | 'rotation' | 'revocation', kind?: 'agent'): string {
  return `
apiVersion: tenure/v1
kind: Flow
metadata: {name: ${on}-${kind ?? 'plain'}, owner: tests, description: "nothing is asked"}
on: ${on}
subject: ${kind === undefined ? '{}' : `{kind: ${kind}}`}
limits: {grace: PT1H}
stages:
  - {id: effect, effect: ${effectOf[on]}}
`;
}

/** For subjects of one environment: an active owner, then an approval, then the effect. */
export function approvedFlow(
  on: 'onboarding' | 'rotation' | 'revocation',
  { environment = 'production', approval = twoOfSecurity, limits = '{grace: PT1H}' } = {},
): string {
  return `
apiVersion: tenure/v1
kind: Flow
metadata: {name: ${on}-${environment}, owner: tests, description: "asked first"}
on: ${on}
subject: {where: 'subject.environment == "${environment}"'}
limits: ${limits}
stages:
  - {id: ownership, verify: {that: 'owner.active', otherwise: owner-not-valid}}
  - id: approval
    approval:
      ${approval}
  - {id: effect, effect: ${effectOf[on]}}
`;
}

const effectOf = { onboarding: 'issue', rotation: 'rotate', revocation: 'revoke' } as const;

export const plainFlows = [plainFlow('onboarding'), plainFlow('rotation'), plainFlow('revocation')];
export const plainAgentFlows = [plainFlow('onboarding', 'agent'), plainFlow('rotation', 'agent')];
export const approvedFlows = [approvedFlow('onboarding'), approvedFlow('rotation')];
