import { createSecretKey, randomBytes } from 'node:crypto';
import { createTenureKeyIssuer } from '../../../activities/issuers/tenureKey.ts';
import { issuerContract } from '../../contract/issuers/issuerContract.ts';
import { ledgerIssuerSubject } from '../../contract/issuers/ledgerIssuerSubject.ts';

issuerContract('tenure-key', () => {
  const hashKey = randomBytes(32);
  return ledgerIssuerSubject({
    scope: 'orders:write',
    secrets: [hashKey.toString('base64'), hashKey.toString('hex')],
    create: ({ prisma, installationId, timeoutMs }) =>
      createTenureKeyIssuer('keys', {
        ...{ prisma, installationId, timeoutMs },
        hashKey: createSecretKey(hashKey),
        prefix: 'tenure',
        scopes: ['orders:write', 'orders:read'],
      }),
    async plant(prisma, row) {
      await prisma.apiKey.create({ data: { ...row, issuer: 'keys', digest: randomBytes(32) } });
      return () => prisma.apiKey.findUnique({ where: { handle: row.handle } });
    },
  });
});
