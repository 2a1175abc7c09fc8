/**
 * Failures of effects after which asking again would get the same answer: names of error classes, keep in step. The activity
 * records such a failure as the outcome of its order; Temporal does not repeat it.
 */
export const endsTheEffort: readonly string[] = [
  'NoLongerWanted',
  'ProofRefused',
  'HandleNotResumable',
  'StagedValueDestroyed',
  'IssuerRefused',
  'StoreRefused',
  'ForeignCredential',
  'CredentialMissing',
];
