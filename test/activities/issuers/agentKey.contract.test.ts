import { createAgentKeyIssuer } from '../../../activities/issuers/agentKey.ts';
import { canonicalJson } from '../../../domain/evidence/canonicalJson.ts';
import { issuerContract } from '../../contract/issuers/issuerContract.ts';
import { ledgerIssuerSubject } from '../../contract/issuers/ledgerIssuerSubject.ts';
import { insertAsked, newAgentKey } from '../../setup/agents.ts';

issuerContract('agent-key', () => {
  const asked = new Set<string>();
  return ledgerIssuerSubject({
    scope: 'search:read',
    create({ direct, ...place }) {
      const issuer = createAgentKeyIssuer('agents', { ...place, scopes: ['search:write', 'search:read'] });
      return {
        ...issuer,
        // What is registered is what the credential's request asks for; what else somebody might try is another registration.
        async generateSecret({ handle }) {
          const { publicKey } = await newAgentKey();
          if (asked.has(handle)) return canonicalJson({ publicKey });
          asked.add(handle);
          await insertAsked({ prisma: direct }, { handle, registration: { publicKey } });
          return issuer.generateSecret({ handle });
        },
      };
    },
    async plant(prisma, row) {
      const { publicKey } = await newAgentKey();
      await prisma.agentKey.create({ data: { ...row, issuer: 'agents', registration: { publicKey } } });
      return () => prisma.agentKey.findUnique({ where: { handle: row.handle } });
    },
  });
});
