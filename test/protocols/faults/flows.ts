/** Flows without people, so that every step is Tenure's own; the grace window outlasts any test. */
export const unattendedFlows = [
  `
apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding, owner: tests, description: no approval}
on: onboarding
subject: {}
stages:
  - {id: ownership, verify: {that: 'owner.active', otherwise: owner-not-valid}}
  - {id: issue, effect: issue}
`,
  `
apiVersion: tenure/v1
kind: Flow
metadata: {name: rotation, owner: tests, description: no approval}
on: rotation
subject: {}
limits: {grace: PT1H}
stages:
  - {id: rotate, effect: rotate}
`,
  `
apiVersion: tenure/v1
kind: Flow
metadata: {name: revocation, owner: tests, description: no approval}
on: revocation
subject: {}
stages:
  - {id: revoke, effect: revoke}
`,
];
