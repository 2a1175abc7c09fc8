import { createAgentKeyIssuer } from '../../../activities/issuers/agentKey.ts';
import { partsOfHandle } from '../../../activities/issuers/handle.ts';
import { canonicalJson } from '../../../domain/evidence/canonicalJson.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { type IssuerSubject, issuerContract } from '../../contract/issuers/issuerContract.ts';
import { insertAsked, newAgentKey } from '../../setup/agents.ts';
import { freshDatabase } from '../../setup/database.ts';

async function agentKeySubject(): Promise<IssuerSubject> {
  const database = await freshDatabase();
  const prisma = openPrisma({ databaseUrl: database.url });
  const asked = new Set<string>();

  return {
    port: Number(new URL(database.url).port),
    scope: 'search:read',
    secrets: [new URL(database.url).password],
    // Each of them is one statement.
    wire: { create: ['INSERT INTO'], extend: ['UPDATE'], destroy: ['DELETE FROM'] },
    connect({ port, isOwnLoginWrong = false } = {}) {
      const url = new URL(database.url);
      if (port !== undefined) url.port = String(port);
      if (isOwnLoginWrong) url.password = 'wrong';
      const own = openPrisma({ databaseUrl: url.href });
      const issuer = createAgentKeyIssuer('agents', {
        prisma: own,
        installationId: 'installation-1',
        scopes: ['search:write', 'search:read'],
        timeoutMs: 2_000,
      });
      return {
        ...issuer,
        // What is registered is what the credential's request asks for; what else somebody might try is another registration.
        async generateSecret({ handle }) {
          const { publicKey } = await newAgentKey();
          if (asked.has(handle)) return canonicalJson({ publicKey });
          asked.add(handle);
          await insertAsked({ prisma }, { handle, registration: { publicKey } });
          return issuer.generateSecret({ handle });
        },
        close: () => own.$disconnect(),
      };
    },
    async plantForeign(handle) {
      const { publicKey } = await newAgentKey();
      const identityId = partsOfHandle(handle)?.identityId ?? '';
      const row = { handle, issuer: 'agents', installationId: 'installation-2', identityId, version: 1 };
      const validUntil = new Date(Date.now() + 600_000);
      await prisma.agentKey.create({ data: { ...row, registration: { publicKey }, validUntil } });
      const state = async () => JSON.stringify(await prisma.agentKey.findUnique({ where: { handle } }));
      const before = await state();
      return async () => (await state()) === before;
    },
    async close() {
      await prisma.$disconnect();
      await database.drop();
    },
  };
}

issuerContract('agent-key', agentKeySubject);
