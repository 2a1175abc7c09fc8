import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { keyIdOf } from '../../configuration/keys.ts';
import type { RecoveryKey } from '../../domain/flow/publishing/recovery.ts';

/** A publication flow that takes the approval of a group in which there is nobody: publishing is locked out. */
export const lockedPublications = `apiVersion: tenure/v1
kind: Flow
metadata: {name: publication-default, owner: security, description: Approved by a group that nobody is in.}
on: publication
stages:
  - id: nobody
    approval:
      require: [{from: 'group:disbanded', count: 1}]
      separation: [requester]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: publish, effect: publish}
tests: [{name: it waits, expect: {outcome: waiting}}]
`;

/** A key as a person makes it, and as tenure.yaml names it. */
export interface RecoveryKeyPair extends RecoveryKey {
  readonly privateKey: KeyObject;
}

export function recoveryKeyPair(person: string): RecoveryKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { person, privateKey, publicKey, keyId: keyIdOf(publicKey) };
}
