import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flowAnalyst } from '../api/analysis/analyst.ts';
import { apiKeyLookup } from '../api/apiKeyLookup.ts';
import { createLogger } from '../api/logging.ts';
import { createApi } from '../api/server.ts';
import { loadConfiguration } from '../configuration/loadConfiguration.ts';
import { directory } from '../ledger/directory.ts';
import { localProvider } from '../test/api/localProvider.ts';
import type { TestInstallation } from '../test/setup/installation.ts';
import { people } from '../test/setup/people.ts';

export interface ApiOverHttp {
  /** A POST on a kept connection, as this person, with an Idempotency-Key of its own. @throws Error on any answer but 2xx */
  post(person: string, path: string, body: object): Promise<unknown>;
  close(): Promise<void>;
}

/** The real API of an installation, on the loopback, with sign-in, logging and everything else; only its rate limits are off. */
export async function apiOverHttp({ ledger, gateway, keys, databaseUrl }: TestInstallation): Promise<ApiOverHttp> {
  const provider = await localProvider();
  const home = mkdtempSync(join(tmpdir(), 'tenure-bench-api-'));
  writeFileSync(join(home, 'tenure.yaml'), tenureYaml(provider.issuer));
  const configuration = loadConfiguration(join(home, 'tenure.yaml'), { DATABASE_URL: databaseUrl });
  const analyst = flowAnalyst();
  const api = createApi({
    configuration,
    ledger,
    directory: directory(ledger.prisma, configuration.people),
    gateway,
    secrets: { readLive: async () => undefined, loginName: () => undefined },
    analyst,
    findApiKey: apiKeyLookup({ configuration, ledger, env: {} }),
    decisionSigning: keys.decisionSigning,
    logger: createLogger({ write: () => {} }),
    now: () => new Date(),
    limits: {
      perAddress: Number.MAX_SAFE_INTEGER,
      perPrincipal: Number.MAX_SAFE_INTEGER,
      analyses: Number.MAX_SAFE_INTEGER,
    },
  });
  const server = createServer(api);
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const tokens = new Map<string, string>();

  async function tokenOf(person: string): Promise<string> {
    const known = tokens.get(person);
    if (known !== undefined) return known;
    const token = await provider.token({ email: `${person}@tenure.example`, name: person });
    tokens.set(person, token);
    return token;
  }

  return {
    async post(person, path, body) {
      const text = JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${await tokenOf(person)}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        'idempotency-key': randomUUID(),
      };
      const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
        const call = request({ agent, host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            received += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text: received }));
          response.on('error', reject);
        });
        call.on('error', reject);
        call.end(text);
      });
      if (answer.status >= 300) throw new Error(`POST ${path} was answered ${answer.status}: ${answer.text}`);
      return JSON.parse(answer.text);
    },
    async close() {
      agent.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await provider.stop();
      rmSync(home, { recursive: true });
    },
  };
}

function tenureYaml(issuer: string): string {
  return `
keys: {directory: keys}
oidc:
  - {name: company, issuer: '${issuer}', audience: tenure, for: people}
people:
${people.map(({ id, name, groups }) => `  - {id: ${id}, name: ${name}, groups: [${groups.join(', ')}]}`).join('\n')}
roles:
  requester: [group:requester]
  responder: [group:responder]
issuers:
  main-db: {type: postgres-role, url: {env: ISSUER_URL}, scopes: {read: app_read}}
stores:
  sealed: {type: sealed, keyEnv: SEALED_KEY}
`;
}
