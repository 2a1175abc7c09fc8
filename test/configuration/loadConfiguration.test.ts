import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configurationJsonSchema } from '../../configuration/configurationSchema.ts';
import { ConfigurationInvalid, loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { readSecret, SecretUnreadable } from '../../configuration/secretReference.ts';
import { temporalConnection } from '../../configuration/temporalConnection.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-configuration-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const complete = `listen: 127.0.0.1:8443
publicUrl: https://tenure.example.com/
database: {env: LEDGER_URL}
temporal: {address: 'temporal.example.com:7233', namespace: tenure, tls: {caFile: tls/ca.pem}}
keys: {directory: keys}
leaseSeconds: 90
evidence: {anchorFile: anchors/checkpoints}
oidc:
  - {name: company, issuer: https://id.example.com, audience: tenure, for: people}
  - {name: github, issuer: https://token.actions.githubusercontent.com, audience: tenure, for: pipelines}
people:
  - {id: Ann@Example.com, name: Ann, groups: [security]}
roles:
  responder: [group:responder, bo@example.com]
pipelines:
  deploy: {oidc: github, claims: {repository_id: "1", environment: production}, personClaim: actor_email, may: [{rotate: 'payments/*'}, {verifyKeys: 'payments/*'}]}
issuers:
  main-db: {type: postgres-role, url: {file: secrets/issuer-url}, scopes: {read: app_read}}
  keys: {type: tenure-key, hashKey: {file: secrets/hash.key}, scopes: [orders]}
stores:
  sealed: {type: sealed, keyFile: keys/sealed.key}
  vault: {type: vault, address: https://vault.example.com, approle: {roleId: r, secretId: {env: VAULT_SECRET_ID}}}
`;

function load(text: string, env: NodeJS.ProcessEnv = {}) {
  const path = join(directory, 'tenure.yaml');
  writeFileSync(path, text);
  return loadConfiguration(path, env);
}

/** The problems, with the folder left out. */
function problemsOf(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigurationInvalid)
      return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''));
    throw error;
  }
  return [];
}

const least = 'database: postgresql://tenure@db/tenure\nkeys: {directory: keys}\n';

test('a complete configuration loads, with paths absolute and addresses normal', () => {
  const configuration = load(complete);
  expect(configuration.listen).toEqual({ host: '127.0.0.1', port: 8443 });
  expect(configuration.publicUrl).toBe('https://tenure.example.com');
  expect(configuration.keys.directory).toBe(join(directory, 'keys'));
  expect(configuration.evidence.anchorFile).toBe(join(directory, 'anchors/checkpoints'));
  expect(configuration.temporal?.tls?.caFile).toBe(join(directory, 'tls/ca.pem'));
  expect(configuration.people).toEqual([{ id: 'ann@example.com', name: 'Ann', groups: ['security'], active: true }]);
  expect(configuration.issuers['main-db']).toMatchObject({ url: { file: join(directory, 'secrets/issuer-url') } });
  expect(configuration.issuers['keys']).toMatchObject({
    hashKey: { file: join(directory, 'secrets/hash.key') },
    prefix: 'tenure',
  });
  expect(configuration.stores['sealed']).toMatchObject({ keyFile: join(directory, 'keys/sealed.key') });
});

test('a role that is left out belongs to nobody, except asking, which is for every active person', () => {
  expect(load(least).roles).toEqual({ responder: [], 'flow-author': [], 'flow-publisher': [], auditor: [], admin: [] });
});

test('an empty requester list allows nobody to ask', () => {
  expect(load(`${least}roles: {requester: []}\n`).roles.requester).toEqual([]);
});

test('DATABASE_URL overrides the database of the file and is read where it is needed', () => {
  const env = { DATABASE_URL: 'postgresql://other/db' };
  expect(readSecret(load(least, env).database, env)).toBe('postgresql://other/db');
});

test('an unknown key is an error with file, line, column and the key that was probably meant', () => {
  expect(problemsOf(`${least}roles:\n  respnoder: [group:x]\n`)).toEqual([
    'tenure.yaml:4:3: roles.respnoder is not a known key. Did you mean "responder"?',
  ]);
  expect(problemsOf(complete.replace('keyFile: keys', 'keyfile: keys'))).toContain(
    'tenure.yaml:21:26: stores.sealed.keyfile is not a known key. Did you mean "keyFile"?',
  );
  expect(problemsOf(`${least}zzzzzz: 1\n`)).toEqual(['tenure.yaml:3:1: zzzzzz is not a known key. Remove it.']);
});

test('every problem is reported at once, each at its own line', () => {
  const problems = problemsOf('listen: nowhere\nkeys: {directory: keys}\nleaseSeconds: "60"\ndatabase: mysql://x/y\n');
  expect(problems.map((problem) => problem.split(': ')[0])).toEqual([
    'tenure.yaml:1:9',
    'tenure.yaml:4:11',
    'tenure.yaml:3:15',
  ]);
});

test('a key written twice is an error', () => {
  expect(problemsOf(`${least}keys: {directory: other}\n`)).toEqual(['tenure.yaml:3:1: Map keys must be unique']);
});

test('broken YAML names its line', () => {
  expect(problemsOf('keys: {directory: keys\n')[0]).toMatch(/^tenure\.yaml:2:1: /);
});

test("tokens that agents are given never sign anybody in: their audience is none of a provider's", () => {
  const company = 'name: company, issuer: https://id.example.com, audience: tenure, for: people, subjectAudience';
  const provider = (text: string) =>
    `${least}oidc:\n  - {${text}}\n  - {name: ci, issuer: https://ci.example.com, audience: ci, for: pipelines}\n`;
  expect(problemsOf(provider(`${company}: tenure-for-agents`))).toEqual([]);
  for (const taken of ['tenure', 'ci'])
    expect(problemsOf(provider(`${company}: ${taken}`))).toEqual([
      expect.stringMatching(/^tenure\.yaml:4:\d+: tokens for ".*" sign in by provider ".*", and agents are given them/),
    ]);
  expect(problemsOf(provider(`${company}: x`.replace('people', 'agents')))).toEqual([
    expect.stringContaining('oidc provider "company" is for agents. Only one "for: people" has a subjectAudience.'),
  ]);
  const twice = `${provider(`${company}: x`)}  - {${`${company}: x`.replace('name: company', 'name: again').replace('audience: tenure', 'audience: other')}}\n`;
  expect(problemsOf(twice)).toEqual([expect.stringContaining('Give each its own subjectAudience.')]);
});

test('an empty file says what is missing', () => {
  expect(problemsOf('')).toEqual([expect.stringContaining('keys: invalid input: expected object')]);
});

test('a password in the file is refused without being repeated', () => {
  const [problem = ''] = problemsOf('database: postgresql://tenure:hunter2@db/tenure\nkeys: {directory: keys}\n');
  expect(problem).toContain('tenure.yaml:1:11: database: write {env: NAME}, {file: PATH}');
  expect(problem).not.toContain('hunter2');
});

test('a secret written into the file is refused without being repeated', () => {
  const [problem = ''] = problemsOf(complete.replace('{env: VAULT_SECRET_ID}', 'hunter2'));
  expect(problem).toContain('a secret is {env: NAME} or {file: PATH}, never written here');
  expect(problem).not.toContain('hunter2');
});

test('an issuer over plain http is accepted on the loopback only', () => {
  expect(problemsOf(complete.replace('https://id.example.com', 'http://id.example.com'))).toEqual([
    'tenure.yaml:9:29: oidc.0.issuer: use https; plain http is accepted on the loopback only.',
  ]);
  expect(problemsOf(complete.replace('https://id.example.com', 'http://127.0.0.1:4000'))).toEqual([]);
});

test('a pipeline whose provider is undeclared or for people is refused', () => {
  expect(problemsOf(complete.replace('oidc: github', 'oidc: company'))).toEqual([
    'tenure.yaml:16:18: pipeline "deploy" names the oidc provider "company", which is for people. Declare one with "for: pipelines".',
  ]);
});

test('a pipeline that introspects a tool which is not declared is refused', () => {
  const asked = complete.replace("{verifyKeys: 'payments/*'}", '{introspect: search}');
  expect(problemsOf(asked)).toEqual([
    expect.stringContaining('may introspect the tool "search", which is not declared'),
  ]);
  expect(problemsOf(`${asked}tools: {search: {audience: https://search.example.com, actions: [read]}}`)).toEqual([]);
});

test('a pipeline without any claim is refused, since every token would match it', () => {
  expect(problemsOf(complete.replace('{repository_id: "1", environment: production}', '{}'))).toEqual([
    expect.stringContaining('name at least one claim'),
  ]);
});

test('a missing file is an error that says where to name one', () => {
  expect(() => loadConfiguration(join(directory, 'absent.yaml'), {})).toThrow(
    /Name the configuration file in TENURE_CONFIG/,
  );
});

test('a configuration without a database is refused', () => {
  expect(problemsOf('keys: {directory: keys}\n')).toEqual([
    'tenure.yaml: no database. Add "database:" or set DATABASE_URL.',
  ]);
});

test('a named secret that is not there is an error that names it', () => {
  expect(() => readSecret({ env: 'ABSENT' }, {})).toThrow(SecretUnreadable);
  expect(() => readSecret({ file: join(directory, 'absent') }, {})).toThrow(/cannot be read \(ENOENT\)/);
  writeFileSync(join(directory, 'secret'), 'value\n');
  expect(readSecret({ file: join(directory, 'secret') }, {})).toBe('value');
});

test('Temporal is where tenure.yaml says, or where the environment says when it is silent', () => {
  const written = load(`${least}temporal: {address: 'one:7233'}\n`);
  expect(temporalConnection(written, { TEMPORAL_ADDRESS: 'two:7233' })).toEqual({
    namespace: 'default',
    connectionOptions: { address: 'one:7233' },
  });
  expect(
    temporalConnection(load(least), {
      TEMPORAL_ADDRESS: 'two:7233',
      TEMPORAL_NAMESPACE: 'x',
      TEMPORAL_CONFIG_FILE: join(directory, 'none.toml'),
    }),
  ).toMatchObject({
    namespace: 'x',
    connectionOptions: { address: 'two:7233' },
  });
});

test('an API key for Temporal never travels without TLS', () => {
  const configuration = load(`${least}temporal: {address: 'one:7233', apiKey: {env: TEMPORAL_KEY}}\n`);
  expect(temporalConnection(configuration, { TEMPORAL_KEY: 'k' }).connectionOptions.tls).toBe(true);
});

test('the published JSON Schema is up to date', () => {
  const published: unknown = JSON.parse(
    readFileSync(new URL('../../configuration/schema.json', import.meta.url), 'utf8'),
  );
  expect(published, 'run: node configuration/writeSchema.ts').toEqual(
    JSON.parse(JSON.stringify(configurationJsonSchema())),
  );
});

test('the example of docs/configuration.md loads as it stands', () => {
  const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  expect(problemsOf(example)).toEqual([]);
  expect(Object.keys(load(example).pipelines)).toEqual(['deploy', 'search-server']);
});

test('recovery of flows takes keys of two different people, each an Ed25519 key of its own', () => {
  const key = (type: 'ed25519' | 'x25519' = 'ed25519') => {
    const { publicKey } = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
    return publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  };
  const withKeys = (...keys: readonly (readonly [string, string])[]) =>
    problemsOf(
      `${least}recovery:\n  keys:\n${keys.map(([who, text]) => `    - {person: ${who}, publicKey: ${text}}\n`).join('')}`,
    );
  const [anns, bos] = [key(), key()];
  expect(withKeys(['ann@x.example', anns], ['bo@x.example', bos], ['bo@x.example', key()])).toEqual([]);
  expect(withKeys(['ann@x.example', anns], ['ann@x.example', bos])).toEqual([
    expect.stringContaining(
      "recovery takes two different people, and only ann@x.example has a key. Add another person's.",
    ),
  ]);
  expect(withKeys(['ann@x.example', anns], ['bo@x.example', anns])).toEqual([
    expect.stringContaining('the recovery key of bo@x.example is that of ann@x.example.'),
  ]);
  expect(withKeys(['ann@x.example', anns], ['bo@x.example', key('x25519')])).toEqual([
    expect.stringContaining('not an Ed25519 public key'),
  ]);
});
