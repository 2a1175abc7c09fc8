import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { grantSigner } from '../../api/grants/signer.ts';
import { grantClaims } from '../../domain/grantClaims.ts';
import { insertAgent, newAgentKey } from '../../test/setup/agents.ts';
import { insertGrant } from '../../test/setup/grants.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { insertSigner, signerName } from '../../test/setup/signer.ts';
import { rounded } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import type { Serving } from '../introspection/serverProcess.ts';
import { compared, inTurns, perSecond, rounds } from '../rounds.ts';
import type { Row } from '../row.ts';

/** As many callers at once as a resource server has calls under way. */
const lanes = 16;

/**
 * POST /oauth/introspect against a bare Express route that reads one row by its index: a process each, one at a time under
 * load, by the same client, about the same grants.
 */
export const introspection: Row = {
  name: 'introspection',
  group: 'step-up',
  dependsOnServer: false,
  async run(ground, size) {
    const { count, calls, grants } =
      size === 'full' ? { count: 6, calls: 6_000, grants: 200 } : { count: 1, calls: 20, grants: 2 };
    const installation = await benchInstallation(ground);
    const servers = [await serve(installation, 'tenure'), await serve(installation, 'bare')] as const;
    try {
      const [tenure, bare] = servers;
      const tokens = await tokensOf(installation, tenure.issuer, grants);
      const pairs = await rounds({ count, say: ground.say, what: 'introspections' }, (index) =>
        inTurns(
          index,
          () => throughput(tenure, tokens, calls),
          () => throughput(bare, tokens, calls),
        ),
      );
      const { ratio, spread, subject, baseline } = compared(pairs, 'rate');
      return [
        {
          what: 'introspections a second',
          value: ratio,
          unit: '×',
          budget: { is: 'at least', value: 0.8 },
          subject: `${rounded(subject)}/s`,
          baseline: `bare Express, one indexed read: ${rounded(baseline)}/s`,
          spread,
        },
      ];
    } finally {
      for (const server of servers) server.stop();
      await installation.close();
    }
  },
};

export async function tokensOf({ ledger, store }: TestInstallation, issuer: string, count: number): Promise<string[]> {
  await insertSigner(ledger, async ({ identityId, version, privateKey: value }) => {
    await store.stage({ identityId, version, value });
    await store.promote({ identityId, version, epoch: 1 });
  });
  const signer = grantSigner({
    configuration: { grants: { signer: signerName } },
    ledger,
    secrets: { readLive: (_store, identityId) => store.read({ identityId }), loginName: () => undefined },
  });
  const { publicKey } = await newAgentKey();
  const owner = 'owner@tenure.example';
  const identityId = await insertAgent(ledger, { registration: { publicKey }, owner });
  const tokens: string[] = [];
  for (let made = 0; made < count; made += 1) {
    const grant = await insertGrant(ledger, { identityId, expiresAt: new Date(Date.now() + 3_600_000) });
    tokens.push(await signer.sign(grantClaims(grant, issuer)));
  }
  return tokens;
}

interface Server extends Serving {
  stop(): void;
}

async function serve({ place }: TestInstallation, kind: 'tenure' | 'bare'): Promise<Server> {
  const server = fork(fileURLToPath(new URL('../introspection/serverProcess.ts', import.meta.url)), [kind]);
  server.send(place);
  const [serving] = (await once(server, 'message')) as [Serving];
  return { ...serving, stop: () => server.disconnect() };
}

async function throughput(server: Server, tokens: readonly string[], calls: number): Promise<{ rate: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  let asked = 0;
  const rate = await perSecond({ times: calls, lanes }, async () => {
    asked += 1;
    await introspect(server, agent, tokens[asked % tokens.length] ?? '');
  });
  agent.destroy();
  return { rate };
}

/** @throws Error when the answer is not that the token is active */
async function introspect({ url, bearer }: Serving, agent: Agent, token: string): Promise<void> {
  const body = `token=${token}`;
  const headers = {
    authorization: `Bearer ${bearer}`,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': body.length,
  };
  const answer = await new Promise<string>((resolve, reject) => {
    const call = request(url, { agent, method: 'POST', headers }, (response) => {
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        received += chunk;
      });
      response.on('end', () => resolve(received));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end(body);
  });
  if (!answer.startsWith('{"active":true')) throw new Error(`${url} answered ${answer}`);
}
