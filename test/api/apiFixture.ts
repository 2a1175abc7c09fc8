import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import type { z } from 'zod';
import type { LanesLimits } from '../../api/admission.ts';
import { type AnalystLimits, flowAnalyst } from '../../api/analysis/analyst.ts';
import { apiKeyLookup } from '../../api/apiKeyLookup.ts';
import { type GrantSigner, grantSigner } from '../../api/grants/signer.ts';
import { apiServer, defaultTimeouts, type HttpTimeouts } from '../../api/httpServer.ts';
import type { RateLimits } from '../../api/limits.ts';
import { createLogger } from '../../api/logging.ts';
import type { LiveSecret, RequestGateway, SecretSource } from '../../api/ports.ts';
import { createApi } from '../../api/server.ts';
import type { Configuration } from '../../configuration/configurationSchema.ts';
import { loadKeys } from '../../configuration/keys.ts';
import { loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { personProviders } from '../../configuration/personProviders.ts';
import type { EffectOutcome } from '../../contracts/plan.ts';
import { canonicalJson } from '../../domain/evidence/canonicalJson.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { advanceRequest } from '../../ledger/advance.ts';
import { directory } from '../../ledger/directory.ts';
import { seedFlows } from '../../ledger/flows.ts';
import { openRequest } from '../../ledger/open.ts';
import { type OpenedLedger, openLedger, overOwnConnections } from '../../ledger/openLedger.ts';
import { answerOrder } from '../setup/answeredOrders.ts';
import { freshDatabase } from '../setup/database.ts';
import { localProvider } from './localProvider.ts';

const flows = [
  `apiVersion: tenure/v1
kind: Flow
metadata: {name: onboarding, owner: security, description: One approval of security.}
on: onboarding
stages:
  - id: security
    approval:
      require: [{from: 'group:security', count: 1}]
      separation: [requester, onBehalfOf, owner]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: issue, effect: issue}
tests: [{name: it waits, expect: {outcome: waiting}}]
`,
  `apiVersion: tenure/v1
kind: Flow
metadata: {name: rotation, owner: security, description: At once.}
on: rotation
stages: [{id: rotate, effect: rotate}]
tests: [{name: it rotates, expect: {outcome: completed}}]
`,
  `apiVersion: tenure/v1
kind: Flow
metadata: {name: revocation, owner: security, description: After one approval; responders do not wait.}
on: revocation
stages:
  - id: security
    approval:
      require: [{from: 'group:security', count: 1}]
      separation: [requester]
      proof: session
      timeout: {after: P1D, result: deny}
  - {id: revoke, effect: revoke}
tests: [{name: it waits, expect: {outcome: waiting}}]
`,
];

/** The people of these tests; `stranger` is in no group. */
const people = [
  'owner',
  'requester',
  'security-1',
  'security-2',
  'responder-1',
  'responder-2',
  'auditor',
  'admin',
  'flow-author',
  'stranger',
] as const;
export type PersonName = (typeof people)[number];
export const emailOf = (name: string): string => `${name}@example.com`;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body through a schema: a test reads nothing that it has not checked. */
  as<S extends z.ZodType>(schema: S): z.output<S>;
  /** The problem's slug; fails the test when the answer is no problem. */
  readonly slug: string;
  readonly detail: string;
}

export interface Send {
  readonly method?: string;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
}

export interface ApiFixture {
  readonly address: string;
  /** What agents' assertions are for. */
  readonly publicUrl: string;
  readonly ledger: OpenedLedger;
  readonly databaseUrl: string;
  readonly grantSigner: GrantSigner;
  readonly gateway: FakeGateway;
  /** What the store serves, by identity. */
  readonly store: FakeStore;
  readonly logLines: string[];
  readonly provider: Awaited<ReturnType<typeof localProvider>>;
  /** Of a second provider for people, `partner`, where the fixture is asked for one. */
  readonly partner: Awaited<ReturnType<typeof localProvider>>;
  readonly configuration: Configuration;
  tokenOf(person: PersonName): Promise<string>;
  pipelineToken(claims?: Record<string, string>): Promise<string>;
  /** A request with this bearer token (none when undefined); a POST gets a fresh Idempotency-Key unless it has one. */
  send(token: string | undefined, path: string, options?: Send): Promise<Answer>;
  as(person: PersonName, path: string, options?: Send): Promise<Answer>;
  /** Reports success for whatever the request's plan orders, until it orders nothing. */
  carryOut(requestId: string): Promise<void>;
}

export interface FakeStore {
  readonly values: Map<string, LiveSecret>;
  /** What happens while the store is being read. */
  whileReading: () => Promise<unknown>;
}

/** The one part that is not real here: no Temporal, the same ledger functions its activities call. */
export interface FakeGateway extends RequestGateway {
  /** `lost`: the call commits and its answer never arrives; `down`: nothing arrives at all. */
  mode: 'up' | 'lost' | 'down';
  opened: number;
  nudged: string[];
}

type Cleanups = (() => Promise<unknown>)[];
const cleanupsOf: Readonly<Record<'test' | 'file', Cleanups>> = { test: [], file: [] };
async function cleanUp(cleanups: Cleanups): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}
afterEach(() => cleanUp(cleanupsOf.test));
afterAll(() => cleanUp(cleanupsOf.file));

/** @param lives until the end of the test, or of the file: for tests that leave nothing behind */
export async function apiFixture({
  limits,
  lanes,
  trustedProxies = [],
  timeouts = {},
  lives = 'test',
  moreFlows = [],
  analystLimits,
  publicUrl,
  company = '',
  partner,
  now = () => new Date(),
}: {
  /** More of what tenure.yaml says of the provider `company`, and of a second one for people. */
  company?: string;
  partner?: string;
  /** Left out: the loopback's. */
  publicUrl?: string;
  now?: () => Date;
  limits?: Partial<RateLimits>;
  lanes?: Partial<LanesLimits>;
  trustedProxies?: readonly string[];
  timeouts?: Partial<HttpTimeouts>;
  lives?: 'test' | 'file';
  /** As YAML text, beside those of every fixture. */
  moreFlows?: readonly string[];
  analystLimits?: AnalystLimits;
} = {}): Promise<ApiFixture> {
  const cleanups = cleanupsOf[lives];
  const database = await freshDatabase();
  cleanups.push(() => database.drop());
  const home = mkdtempSync(join(tmpdir(), 'tenure-api-'));
  cleanups.push(async () => rmSync(home, { recursive: true, force: true }));
  const provider = await localProvider();
  cleanups.push(() => provider.stop());

  const second = partner === undefined ? provider : await localProvider();
  if (second !== provider) cleanups.push(() => second.stop());
  const providers = [
    `  - {name: company, issuer: '${provider.issuer}', audience: tenure, for: people, subjectAudience: tenure-for-agents${company}}`,
    ...(partner === undefined
      ? []
      : [`  - {name: partner, issuer: '${second.issuer}', audience: tenure, for: people${partner}}`]),
  ];
  writeFileSync(join(home, 'tenure.yaml'), tenureYaml(provider.issuer, providers, publicUrl, trustedProxies));
  const configuration = loadConfiguration(join(home, 'tenure.yaml'), { DATABASE_URL: database.url });
  const keys = loadKeys(configuration.keys.directory, { create: true });
  const ledger = await openLedger({
    databaseUrl: database.url,
    host: 'tenure.example',
    leaseMs: 60_000,
    poolSize: 5,
    keys,
  });
  cleanups.push(() => ledger.close());
  const safetyLedger = await overOwnConnections(ledger, { databaseUrl: database.url, poolSize: 2 });
  cleanups.push(() => safetyLedger.close());
  await seedFlows(ledger, [...flows, ...moreFlows].map(flowSource));
  const known = directory(ledger, configuration.people, personProviders(configuration));
  await known.recordListed();

  const gateway = fakeGateway(ledger);
  const store: FakeStore = { values: new Map(), whileReading: async () => undefined };
  const logLines: string[] = [];
  const analyst = flowAnalyst(analystLimits);
  cleanups.push(() => analyst.close());
  const secrets: SecretSource = {
    async readLive(_store, identityId) {
      const served = store.values.get(identityId);
      await store.whileReading();
      return served;
    },
    loginName: (_issuer, handle) => `login_${handle}`,
  };
  const signer = grantSigner({ configuration, ledger, secrets });
  const api = createApi({
    configuration,
    ledger,
    directory: known,
    safety: {
      ledger: safetyLedger,
      directory: directory(safetyLedger, configuration.people, personProviders(configuration)),
    },
    gateway,
    secrets,
    analyst,
    findApiKey: apiKeyLookup({ configuration, ledger, env: {} }),
    grantSigner: signer,
    decisionSigning: keys.decisionSigning,
    logger: createLogger({ write: (line) => void logLines.push(line) }),
    now,
    ...(limits === undefined ? {} : { limits }),
    ...(lanes === undefined ? {} : { lanes }),
  });
  const server = apiServer(api, { ...defaultTimeouts, ...timeouts });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const tokenOf = (person: PersonName): Promise<string> => provider.token({ email: emailOf(person), name: person });
  const send = async (token: string | undefined, path: string, options: Send = {}): Promise<Answer> =>
    answerOf(await fetch(`${address}${path}`, requestInit(token, options)));
  return {
    address,
    publicUrl: configuration.publicUrl,
    ledger,
    databaseUrl: database.url,
    grantSigner: signer,
    gateway,
    store,
    logLines,
    provider,
    partner: second,
    configuration,
    tokenOf,
    pipelineToken: (claims = {}) =>
      provider.token({ aud: 'tenure-pipelines', repository_id: '1', environment: 'production', ...claims }),
    send,
    as: async (person, path, options) => send(await tokenOf(person), path, options),
    carryOut: (requestId) => carryOut(ledger, requestId),
  };
}

function tenureYaml(
  issuer: string,
  providers: readonly string[],
  publicUrl: string | undefined,
  trustedProxies: readonly string[],
): string {
  return `
${publicUrl === undefined ? '' : `publicUrl: ${publicUrl}`}
trustedProxies: [${trustedProxies.map((proxy) => `'${proxy}'`)}]
keys: {directory: keys}
oidc:
${providers.join('\n')}
  - {name: ci, issuer: '${issuer}', audience: tenure-pipelines, for: pipelines}
  - {name: workloads, issuer: '${issuer}', audience: tenure-agents, for: agents}
people:
${people.map((name) => `  - {id: ${emailOf(name)}, name: ${name}, groups: [${groupsOf(name)}]}`).join('\n')}
roles:
  requester: [group:requester]
  responder: [group:responder]
  auditor: [group:auditor]
  admin: [group:admin]
  flow-author: [group:flow-author]
pipelines:
  deploy: {oidc: ci, claims: {repository_id: "1", environment: production}, personClaim: actor, may: [{rotate: 'payments/*'}]}
  search-server: {oidc: ci, claims: {repository_id: "2"}, may: [{introspect: search}]}
  mail-server: {oidc: ci, claims: {repository_id: "3"}, may: [{introspect: mail}]}
tools:
  search: {audience: 'https://search.example.com', actions: [read, write]}
  mail: {audience: 'https://mail.example.com', actions: [send]}
issuers:
  main-db: {type: postgres-role, url: {env: ISSUER_URL}, scopes: {read: app_read, write: app_write}}
  agents: {type: agent-key}
  signing: {type: signing-key}
grants: {signer: {name: grant-signer, environment: production}}
stores:
  sealed: {type: sealed, keyEnv: SEALED_KEY}
`;
}

function groupsOf(name: PersonName): string {
  return name === 'owner' || name === 'stranger' ? '' : name.replace(/-\d$/, '');
}

function flowSource(source: string) {
  const parsed = parseFlow(source, 'test.flow.yaml');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ line, reason }) => `${line}: ${reason}`).join('\n'));
  return { flow: parsed.flow, digest: parsed.digest, canonical: canonicalJson(parsed.flow), source };
}

function fakeGateway(ledger: OpenedLedger): FakeGateway {
  async function answer<T>(work: () => Promise<T>): Promise<T> {
    if (gateway.mode === 'down') throw new Error('14 UNAVAILABLE: no connection');
    const result = await work();
    if (gateway.mode === 'lost') throw new Error('4 DEADLINE_EXCEEDED');
    return result;
  }
  const gateway: FakeGateway = {
    mode: 'up',
    opened: 0,
    nudged: [],
    open: (order) =>
      answer(() => {
        gateway.opened += 1;
        return openRequest(ledger, order);
      }),
    decide: (_target, decision) =>
      answer(() =>
        advanceRequest(ledger, {
          requestId: decision.requestId,
          event: { kind: 'decision', id: `decision:${decision.id}`, decision },
        }),
      ),
    nudge: (_target, requestId) => answer(async () => void gateway.nudged.push(requestId)),
    isReachable: async () => gateway.mode !== 'down',
  };
  return gateway;
}

async function carryOut(ledger: OpenedLedger, requestId: string): Promise<void> {
  for (;;) {
    const { plan } = await advanceRequest(ledger, { requestId, event: { kind: 'nudge', id: 'nudge' } });
    const [effect] = plan.effects;
    if (effect === undefined) return;
    if (effect.activity === 'destroy' && (await endLeases(ledger, effect.input.identityId))) continue;
    await answerOrder(ledger, effect, { ok: true, result: results[effect.activity]() });
    await advanceRequest(ledger, { requestId, event: { kind: 'effect', id: effect.id } });
  }
}

/** A destroy is final only if it looked after the end of the lease: here nobody waits for it. @returns whether one ran on */
async function endLeases({ prisma }: OpenedLedger, identityId: string): Promise<boolean> {
  const now = new Date();
  const { count } = await prisma.credential.updateMany({
    where: { identityId, leaseEndsAt: { gt: now } },
    data: { leaseEndsAt: now },
  });
  return count > 0;
}

const results: Record<
  'create' | 'promote' | 'quarantine' | 'destroy',
  () => Extract<EffectOutcome, { ok: true }>['result']
> = {
  create: () => ({ fingerprint: 'a1b2' }),
  promote: () => ({ outcome: 'served' as const }),
  quarantine: () => ({}),
  destroy: () => ({
    receipt: {
      method: 'tried' as const,
      because: 'refused after it was accepted',
      at: new Date().toISOString(),
      stillUsable: [],
    },
  }),
};

function requestInit(token: string | undefined, { method, body, raw, key, headers }: Send): RequestInit {
  const verb = method ?? (body === undefined && raw === undefined ? 'GET' : 'POST');
  return {
    method: verb,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(verb === 'POST' ? { 'content-type': 'application/json', 'idempotency-key': key ?? randomUUID() } : {}),
      ...headers,
    },
    ...(raw === undefined ? (body === undefined ? {} : { body: JSON.stringify(body) }) : { body: raw }),
  };
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const problem = (): { type: string; detail: string } => {
    if (response.headers.get('content-type')?.startsWith('application/problem+json') !== true)
      throw new Error(`not a problem: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  return {
    status: response.status,
    headers: response.headers,
    text,
    as: (schema) => {
      if (!response.ok) throw new Error(`${response.status} ${text}`);
      return schema.parse(JSON.parse(text));
    },
    get slug() {
      return problem().type.replace('urn:tenure:problem:', '');
    },
    get detail() {
      return problem().detail;
    },
  };
}

export const onboarding = {
  kind: 'service-account',
  name: 'billing-api',
  environment: 'production',
  owner: emailOf('owner'),
  purpose: 'Reads invoices',
  scopes: ['read'],
  integration: 'payments',
  labels: { team: 'billing' },
  consumers: ['pipeline:deploy'],
  expiresAt: new Date(Date.now() + 30 * 86_400_000).toISOString(),
  issuer: 'main-db',
  store: 'sealed',
  justification: 'The billing API moves to its own account',
};
