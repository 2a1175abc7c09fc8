import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JWTPayload } from 'jose';
import { flowAnalyst } from '../../api/analysis/analyst.ts';
import { apiKeyLookup } from '../../api/apiKeyLookup.ts';
import { grantSigner } from '../../api/grants/signer.ts';
import type { RateLimits } from '../../api/limits.ts';
import { createLogger } from '../../api/logging.ts';
import type { RequestGateway, SecretSource } from '../../api/ports.ts';
import { createApi } from '../../api/server.ts';
import { loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { personProviders } from '../../configuration/personProviders.ts';
import { freePort } from '../../embedded/ports.ts';
import { directory } from '../../ledger/directory.ts';
import { overOwnConnections } from '../../ledger/openLedger.ts';
import { localProvider } from '../api/localProvider.ts';
import type { TestInstallation } from './installation.ts';
import { people } from './people.ts';

/** Those of every installation, as far as the API asks about them; it never connects to an issuer. */
const adapters = `tools:
  search: {audience: 'https://search.example.com', actions: [read, write]}
  mail: {audience: 'https://mail.example.com', actions: [send]}
pipelines:
  search-server: {oidc: ci, claims: {repository_id: "2"}, may: [{introspect: search}]}
  mail-server: {oidc: ci, claims: {repository_id: "3"}, may: [{introspect: mail}]}
issuers:
  main-db: {type: postgres-role, url: {env: ISSUER_URL}, scopes: {read: app_read}}
  agents: {type: agent-key}
  signing: {type: signing-key}
grants: {signer: {name: grant-signer, environment: production}}
stores:
  sealed: {type: sealed, keyEnv: SEALED_KEY}`;

export interface InstallationApi {
  readonly address: string;
  /** What agents' assertions are for. */
  readonly publicUrl: string;
  /** Of somebody who signed in just now. */
  tokenOf(person: string): Promise<string>;
  /** What this person gives to an agent, to show for whom it acts; `claims` override everything. */
  tokenForAgents(person: string, claims?: JWTPayload): Promise<string>;
  tokenOfPipeline(name: 'search-server' | 'mail-server'): Promise<string>;
  /** A GET, or a POST of `body` under a fresh key. @throws what the API answered, when it is no success */
  as<T>(person: string, path: string, body?: object): Promise<T>;
  close(): Promise<void>;
}

/** The real API of an installation, with a provider of the test's own; roles are the groups of `people.ts`. */
export async function installationApi(
  installation: Pick<TestInstallation, 'ledger' | 'keys' | 'store' | 'databaseUrl' | 'gateway'>,
  {
    gateway = installation.gateway,
    limits,
    subjectAudience = true,
    publicPath = '',
  }: {
    gateway?: RequestGateway;
    limits?: Partial<RateLimits>;
    subjectAudience?: boolean;
    /** The API is behind a proxy that takes this off each path, and publicUrl is the address of that. */
    publicPath?: string;
  } = {},
): Promise<InstallationApi> {
  const { ledger, keys, store, databaseUrl } = installation;
  const provider = await localProvider();
  const home = mkdtempSync(join(tmpdir(), 'tenure-api-'));
  const listed = people.map(({ id, name, groups }) => `  - {id: ${id}, name: ${name}, groups: [${groups}]}`);
  const roles = ['requester', 'responder', 'auditor', 'admin', 'flow-author', 'flow-publisher'].map(
    (role) => `  ${role}: [group:${role}]`,
  );
  const oidc = [
    `  - {name: company, issuer: '${provider.issuer}', audience: tenure, for: people${subjectAudience ? ', subjectAudience: tenure-for-agents' : ''}}`,
    `  - {name: ci, issuer: '${provider.issuer}', audience: tenure-pipelines, for: pipelines}`,
    `  - {name: workloads, issuer: '${provider.issuer}', audience: tenure-agents, for: agents}`,
  ].join('\n');
  const port = publicPath === '' ? 0 : await freePort();
  const publicUrl = port === 0 ? [] : [`publicUrl: http://127.0.0.1:${port}${publicPath}`];
  writeFileSync(
    join(home, 'tenure.yaml'),
    [...publicUrl, 'keys: {directory: keys}', 'oidc:', oidc, 'people:', ...listed, 'roles:', ...roles, adapters].join(
      '\n',
    ),
  );
  const configuration = loadConfiguration(join(home, 'tenure.yaml'), { DATABASE_URL: databaseUrl });
  const analyst = flowAnalyst();
  const secrets: SecretSource = {
    readLive: (_store, identityId) => store.read({ identityId }),
    loginName: () => undefined,
  };
  const safetyLedger = await overOwnConnections(ledger, { databaseUrl, poolSize: 2 });
  const api = createApi({
    configuration,
    ledger,
    directory: directory(ledger, configuration.people, personProviders(configuration)),
    safety: {
      ledger: safetyLedger,
      directory: directory(safetyLedger, configuration.people, personProviders(configuration)),
    },
    gateway,
    secrets,
    analyst,
    findApiKey: apiKeyLookup({ configuration, ledger, env: {} }),
    grantSigner: grantSigner({ configuration, ledger, secrets }),
    decisionSigning: keys.decisionSigning,
    logger: createLogger({ write: () => undefined }),
    now: () => new Date(),
    ...(limits === undefined ? {} : { limits }),
  });
  const server = createServer((req, res) => {
    if (req.url?.startsWith(`${publicPath}/`) === true) req.url = req.url.slice(publicPath.length);
    api(req, res);
  });
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}${publicPath}`;
  const tokenOf = (person: string) =>
    provider.token({ email: `${person}@tenure.example`, name: person, auth_time: Math.floor(Date.now() / 1000) });
  return {
    address,
    publicUrl: configuration.publicUrl,
    tokenOf,
    tokenForAgents: (person, claims = {}) =>
      provider.token({ aud: 'tenure-for-agents', email: `${person}@tenure.example`, ...claims }),
    tokenOfPipeline: (name) =>
      provider.token({ aud: 'tenure-pipelines', repository_id: name === 'search-server' ? '2' : '3' }),
    async as<T>(person: string, path: string, body?: object): Promise<T> {
      const response = await fetch(`${address}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${await tokenOf(person)}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': randomUUID() }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} ${text}`);
      return JSON.parse(text) as T;
    },
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await analyst.close();
      await safetyLedger.close();
      await provider.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
