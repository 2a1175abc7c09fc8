import { partsOfHandle } from '../../../activities/issuers/handle.ts';
import type { Issuer } from '../../../activities/issuers/issuer.ts';
import { openPrisma } from '../../../ledger/client.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { freshDatabase } from '../../setup/database.ts';
import type { IssuerSubject } from './issuerContract.ts';

/** What a row of another installation has, whatever the issuer. */
export interface ForeignRow {
  readonly handle: string;
  readonly installationId: string;
  readonly identityId: string;
  readonly version: number;
  readonly validUntil: Date;
}

/** An issuer of our own, which keeps its credentials in the ledger's database. */
export async function ledgerIssuerSubject({
  scope,
  secrets = [],
  create,
  plant,
}: {
  scope: string;
  secrets?: readonly string[];
  /** @param prisma what it is to use; `direct` reaches the same database past whatever is cut */
  create(place: { prisma: PrismaClient; direct: PrismaClient; installationId: string; timeoutMs: number }): Issuer;
  /** Effect: a row that this installation did not make. Returns how to read it again. */
  plant(prisma: PrismaClient, row: ForeignRow): Promise<() => Promise<unknown>>;
}): Promise<IssuerSubject> {
  const database = await freshDatabase();
  const direct = openPrisma({ databaseUrl: database.url });

  return {
    port: Number(new URL(database.url).port),
    scope,
    secrets: [...secrets, new URL(database.url).password],
    // Each of them is one statement.
    wire: { create: ['INSERT INTO'], extend: ['UPDATE'], destroy: ['DELETE FROM'] },
    connect({ port, isOwnLoginWrong = false } = {}) {
      const url = new URL(database.url);
      if (port !== undefined) url.port = String(port);
      if (isOwnLoginWrong) url.password = 'wrong';
      const prisma = openPrisma({ databaseUrl: url.href });
      const issuer = create({ prisma, direct, installationId: 'installation-1', timeoutMs: 2_000 });
      return { ...issuer, close: () => prisma.$disconnect() };
    },
    async plantForeign(handle) {
      const read = await plant(direct, {
        handle,
        installationId: 'installation-2',
        identityId: partsOfHandle(handle)?.identityId ?? '',
        version: 1,
        validUntil: new Date(Date.now() + 600_000),
      });
      const state = async () => JSON.stringify(await read());
      const before = await state();
      return async () => (await state()) === before;
    },
    async close() {
      await direct.$disconnect();
      await database.drop();
    },
  };
}
