import { randomBytes } from 'node:crypto';
import { createSealedStore } from '../../../activities/stores/sealed.ts';
import { sealedKey, sealedKeys } from '../../../activities/stores/sealedKeys.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { type StoreSubject, storeContract } from '../../contract/stores/storeContract.ts';
import { freshDatabase } from '../../setup/database.ts';

async function sealedSubject(): Promise<StoreSubject> {
  const database = await freshDatabase();
  const key = randomBytes(32).toString('base64');
  const keys = sealedKeys(sealedKey(key, 'the test'));
  const prisma = openPrisma({ databaseUrl: database.url });

  return {
    port: Number(new URL(database.url).port),
    secrets: [key, new URL(database.url).password],
    // Each of them is one statement.
    wire: {
      stage: ['INSERT INTO'],
      promote: ['INSERT INTO'],
      quarantine: ['INSERT INTO'],
      discard: ['INSERT INTO'],
    },
    connect({ port, isOwnLoginWrong = false } = {}) {
      const url = new URL(database.url);
      if (port !== undefined) url.port = String(port);
      if (isOwnLoginWrong) url.password = 'wrong';
      const own = openPrisma({ databaseUrl: url.href });
      // Only what a store shows of itself is searched for secrets, not the client that it is given.
      const store = createSealedStore('sealed', { keys, prisma: own, timeoutMs: 2_000 });
      return { ...store, close: () => own.$disconnect() };
    },
    async readableText(identityId) {
      const rows = await prisma.sealedValue.findMany({ where: { identityId } });
      return rows.map((row) => Buffer.from(row.envelope ?? []).toString('latin1')).join('\n');
    },
    async close() {
      await prisma.$disconnect();
      await database.drop();
    },
  };
}

storeContract('sealed', sealedSubject);
