import { createSigningKeyIssuer } from '../../../activities/issuers/signingKey.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { type IssuerSubject, issuerContract } from '../../contract/issuers/issuerContract.ts';
import { freshDatabase } from '../../setup/database.ts';

async function signingKeySubject(): Promise<IssuerSubject> {
  const database = await freshDatabase();
  const prisma = openPrisma({ databaseUrl: database.url });

  return {
    port: Number(new URL(database.url).port),
    scope: 'sign',
    secrets: [new URL(database.url).password],
    // Each of them is one statement.
    wire: { create: ['INSERT INTO'], extend: ['UPDATE'], destroy: ['DELETE FROM'] },
    connect({ port, isOwnLoginWrong = false } = {}) {
      const url = new URL(database.url);
      if (port !== undefined) url.port = String(port);
      if (isOwnLoginWrong) url.password = 'wrong';
      const own = openPrisma({ databaseUrl: url.href });
      const issuer = createSigningKeyIssuer('signing', {
        prisma: own,
        installationId: 'installation-1',
        timeoutMs: 2_000,
      });
      return { ...issuer, close: () => own.$disconnect() };
    },
    async plantForeign(handle) {
      const row = { handle, issuer: 'signing', installationId: 'installation-2', identityId: handle.slice(0, 26) };
      const data = {
        ...row,
        version: 1,
        kid: `kid of ${handle}`,
        publicKey: {},
        validUntil: new Date(Date.now() + 600_000),
      };
      await prisma.signingKey.create({ data });
      const state = async () => JSON.stringify(await prisma.signingKey.findUnique({ where: { handle } }));
      const before = await state();
      return async () => (await state()) === before;
    },
    async close() {
      await prisma.$disconnect();
      await database.drop();
    },
  };
}

issuerContract('signing-key', signingKeySubject);
