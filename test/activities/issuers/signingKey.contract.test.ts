import { createSigningKeyIssuer } from '../../../activities/issuers/signingKey.ts';
import { issuerContract } from '../../contract/issuers/issuerContract.ts';
import { ledgerIssuerSubject } from '../../contract/issuers/ledgerIssuerSubject.ts';

issuerContract('signing-key', () =>
  ledgerIssuerSubject({
    scope: 'sign',
    create: ({ prisma, installationId, timeoutMs }) =>
      createSigningKeyIssuer('signing', { prisma, installationId, timeoutMs }),
    async plant(prisma, row) {
      const data = { ...row, issuer: 'signing', kid: `kid of ${row.handle}`, publicKey: {} };
      await prisma.signingKey.create({ data });
      return () => prisma.signingKey.findUnique({ where: { handle: row.handle } });
    },
  }),
);
