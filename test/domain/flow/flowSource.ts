/** A small flow file without mistakes, for tests that break it. */
export const soundFlow = `apiVersion: tenure/v1
kind: Flow
metadata: {name: sound, owner: security, description: sound in every part}
on: onboarding
subject: {kind: service-account, where: 'subject.environment == "production"'}
limits: {credentialTtl: P90D, requestTtl: P3D}
stages:
  - id: ownership
    verify: {that: owner.active, otherwise: owner-not-valid}
  - id: review
    when: risk.score > 10
    approval:
      require: [{from: group:security, count: 2}]
      separation: [requester, owner]
      escalate: {after: PT4H, to: group:security-lead}
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
  - {id: tell, notify: {to: [owner, requester]}}
tests:
  - name: one approval is not enough
    given: {risk: {score: 50}, people: {pia: {groups: [security]}}, subject: {environment: production}}
    events: [{decision: approve, by: pia}]
    expect: {outcome: waiting, stage: review}
risk: {weights: [{when: '"ledger:read" in subject.scopes', add: 50, because: reads the ledger}]}
`;

/** The sound flow with one part replaced; fails when the part is not there, so that no test tests nothing. */
export function flowWith(part: string, replacement: string): string {
  if (!soundFlow.includes(part)) throw new Error(`The sound flow has no ${JSON.stringify(part)}.`);
  return soundFlow.replace(part, () => replacement);
}
