/**
 * Which published controls a kind of evidence speaks to: OWASP NHI Top 10 (2025), NIST CSF 1.1 (PR.AC), SP 800-207
 * (zero trust) and SP 800-53 SC-7. A kind is `<subject>.<what happened>`; the exact kind wins over its subject.
 */
const owasp = {
  improperOffboarding: 'OWASP-NHI1:2025',
  secretLeakage: 'OWASP-NHI2:2025',
  vulnerableThirdParty: 'OWASP-NHI3:2025',
  overprivileged: 'OWASP-NHI5:2025',
  longLivedSecrets: 'OWASP-NHI7:2025',
  environmentIsolation: 'OWASP-NHI8:2025',
  humanUse: 'OWASP-NHI10:2025',
} as const;
/** Identities and credentials are issued, managed, verified, revoked and audited. */
const identitiesManaged = 'NIST-CSF:PR.AC-1';
/** Permissions and authorizations are managed: least privilege, separation of duties. */
const permissionsManaged = 'NIST-CSF:PR.AC-4';
/** Access is decided per request, by policy, on current facts. */
const perRequestDecision = 'NIST-SP-800-207';
const boundaryProtection = 'NIST-SP-800-53:SC-7';

const bySubject: ReadonlyMap<string, readonly string[]> = new Map([
  ['identity', [identitiesManaged, owasp.improperOffboarding]],
  ['credential', [identitiesManaged, owasp.longLivedSecrets]],
  ['agent', [identitiesManaged, perRequestDecision]],
  ['secret', [identitiesManaged, owasp.secretLeakage, owasp.humanUse]],
  ['request', [permissionsManaged, perRequestDecision]],
  ['decision', [permissionsManaged, perRequestDecision, owasp.overprivileged]],
  ['grant', [permissionsManaged, perRequestDecision, owasp.overprivileged, owasp.longLivedSecrets]],
  ['proof', [identitiesManaged, permissionsManaged, perRequestDecision, owasp.overprivileged]],
  ['freeze', [boundaryProtection, identitiesManaged, owasp.vulnerableThirdParty]],
  ['mass-revocation', [boundaryProtection, identitiesManaged, owasp.improperOffboarding]],
  ['acknowledgement', [identitiesManaged, owasp.longLivedSecrets]],
  ['flow', [permissionsManaged, owasp.environmentIsolation]],
  ['person', [identitiesManaged, permissionsManaged]],
  ['installation', [identitiesManaged]],
  ['reconciliation', [identitiesManaged, owasp.improperOffboarding]],
  ['finding', [identitiesManaged, owasp.improperOffboarding]],
]);

const byKind: ReadonlyMap<string, readonly string[]> = new Map([
  ['credential.destroyed', [identitiesManaged, owasp.improperOffboarding, owasp.longLivedSecrets]],
  ['identity.changed', [permissionsManaged, owasp.overprivileged]],
]);

/** The controls of one kind, in a stable order; none for a kind that speaks to no listed control. */
export function controlsOf(kind: string): readonly string[] {
  return byKind.get(kind) ?? bySubject.get(kind.split('.', 1)[0] ?? '') ?? [];
}
