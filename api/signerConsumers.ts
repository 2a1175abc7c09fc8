import type { IssuerConfiguration } from '../configuration/configurationSchema.ts';
import { signerPrincipal } from '../domain/grantClaims.ts';
import { invalidRequest } from './problem.ts';

/** Whoever reads a signing key signs in Tenure's name, so nobody but Tenure does; and it reads nothing else. @throws Problem `invalid-request` */
export function requireSignerAlone(issuerType: IssuerConfiguration['type'], consumers: readonly string[]): void {
  const isSigning = issuerType === 'signing-key';
  if (isSigning ? consumers.join() === signerPrincipal : !consumers.includes(signerPrincipal)) return;
  const message = isSigning
    ? `must be ["${signerPrincipal}"]: nobody else reads a signing key`
    : `must not name ${signerPrincipal}: it reads signing keys alone`;
  throw invalidRequest([{ field: 'body.consumers', message }]);
}
