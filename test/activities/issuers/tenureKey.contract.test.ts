import { createSecretKey, randomBytes } from 'node:crypto';
import { createTenureKeyIssuer } from '../../../activities/issuers/tenureKey.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { type IssuerSubject, issuerContract } from '../../contract/issuers/issuerContract.ts';
import { freshDatabase } from '../../setup/database.ts';

async function tenureKeySubject(): Promise<IssuerSubject> {
  const database = await freshDatabase();
  const hashKey = randomBytes(32);
  const prisma = openPrisma({ databaseUrl: database.url });

  return {
    port: Number(new URL(database.url).port),
    scope: 'orders:write',
    secrets: [hashKey.toString('base64'), hashKey.toString('hex'), new URL(database.url).password],
    // Each of them is one statement.
    wire: { create: ['INSERT INTO'], extend: ['UPDATE'], destroy: ['DELETE FROM'] },
    connect({ port, isOwnLoginWrong = false } = {}) {
      const url = new URL(database.url);
      if (port !== undefined) url.port = String(port);
      if (isOwnLoginWrong) url.password = 'wrong';
      const own = openPrisma({ databaseUrl: url.href });
      const issuer = createTenureKeyIssuer('keys', {
        prisma: own,
        installationId: 'installation-1',
        hashKey: createSecretKey(hashKey),
        prefix: 'tenure',
        scopes: ['orders:write', 'orders:read'],
        timeoutMs: 2_000,
      });
      return { ...issuer, close: () => own.$disconnect() };
    },
    async plantForeign(handle) {
      const row = { handle, issuer: 'keys', installationId: 'installation-2', identityId: handle.slice(0, 26) };
      const data = { ...row, version: 1, digest: randomBytes(32), validUntil: new Date(Date.now() + 600_000) };
      await prisma.apiKey.create({ data });
      const state = async () => JSON.stringify(await prisma.apiKey.findUnique({ where: { handle } }));
      const before = await state();
      return async () => (await state()) === before;
    },
    async close() {
      await prisma.$disconnect();
      await database.drop();
    },
  };
}

issuerContract('tenure-key', tenureKeySubject);
