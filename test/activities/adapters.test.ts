import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createIssuers, createStores, loginNameOf } from '../../activities/adapters.ts';
import { loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { openPrisma } from '../../ledger/client.ts';
import { rejectionOf } from '../contract/canaries.ts';

let directory: string;
let prisma: ReturnType<typeof openPrisma>;
const opened: { close(): Promise<void> }[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenure-adapters-'));
  prisma = openPrisma({ databaseUrl: inject('postgresUrl') });
  file('sealed.key', randomBytes(32).toString('base64'));
  file('hash.key', randomBytes(32).toString('base64'));
  file('issuer-url', inject('postgresUrl'));
  file('secret-id', 'a secret id');
  file('ca.pem', 'not used for plain http');
});

afterAll(async () => {
  await Promise.all(opened.map((adapters) => adapters.close()));
  await prisma.$disconnect();
  rmSync(directory, { recursive: true });
});

function file(name: string, content: string): void {
  writeFileSync(join(directory, name), content, { mode: 0o600 });
}

function configurationOf(declared: string) {
  file('tenure.yaml', `database: {file: issuer-url}\nkeys: {directory: keys}\n${declared}`);
  return loadConfiguration(join(directory, 'tenure.yaml'), {});
}

function adaptersOf(declared: string) {
  const configuration = configurationOf(declared);
  const issuers = createIssuers({ configuration, installationId: 'an-installation', prisma });
  opened.push(issuers);
  const stores = createStores({ configuration, prisma });
  opened.push(stores);
  return { issuer: issuers.named, store: stores.named };
}

test('every declared issuer and store is found by its name, and works', async () => {
  const adapters = adaptersOf(`
issuers:
  main-db: {type: postgres-role, url: {file: issuer-url}, scopes: {}, reassignTo: heir}
  keys: {type: tenure-key, scopes: [orders], hashKey: {file: hash.key}, prefix: acme}
stores:
  local: {type: sealed, keyFile: sealed.key}
  remote: {type: vault, address: http://127.0.0.1:1, approle: {roleId: a, secretId: {file: secret-id}}, namespace: team, caFile: ca.pem}
`);
  await adapters.issuer('main-db').controlLogin();
  expect(await adapters.issuer('keys').generateSecret({ handle: 'a' })).toMatch(/^acme_[0-9A-Za-z]{46}$/);
  expect([adapters.issuer('main-db').type, adapters.store('local').type]).toEqual(['postgres-role', 'sealed']);
  expect((await rejectionOf(adapters.store('remote').read({ identityId: 'a' }))).name).toBe('StoreUnavailable');
});

test('a name that is not declared is an error that says what to do, also when every object has such a property', () => {
  const adapters = adaptersOf('');
  for (const name of ['gone', 'constructor', '__proto__']) {
    expect(() => adapters.issuer(name)).toThrow(`tenure.yaml declares no issuer "${name}"`);
    expect(() => adapters.store(name)).toThrow(`tenure.yaml declares no store "${name}"`);
  }
});

test('the login name of a handle is known from the configuration alone, without any login of ours', () => {
  const configuration = configurationOf(
    'issuers: {main-db: {type: postgres-role, url: {file: missing-url}, scopes: {}}}',
  );
  const handle = 'b5mzfaqsxcjgvhsx3bqvyyqzda-v2';
  expect(loginNameOf(configuration, 'main-db', handle)).toBe('tenure_b5mzfaqsxcjgvhsx3bqvyyqzda_v2');
  expect(loginNameOf(configuration, 'gone', handle)).toBeUndefined();
});

test('a secret or key that cannot be read stops the start, and is named', () => {
  const vault = 'type: vault, address: http://127.0.0.1:1, approle: {roleId: a, secretId: {file: secret-id}}';
  expect(() => adaptersOf('issuers: {main-db: {type: postgres-role, url: {file: missing-url}, scopes: {}}}')).toThrow(
    /missing-url/,
  );
  expect(() => adaptersOf('stores: {local: {type: sealed, keyFile: missing.key}}')).toThrow(/missing\.key/);
  const keys = (hashKey: string) => `issuers: {keys: {type: tenure-key, scopes: [a], hashKey: {file: ${hashKey}}}}`;
  expect(() => adaptersOf(keys('missing.key'))).toThrow(/missing\.key/);
  expect(() => adaptersOf(keys('secret-id'))).toThrow(/hashKey of issuer "keys"/);
  expect(() => adaptersOf(`stores: {remote: {${vault}, caFile: missing.pem}}`)).toThrow(/missing\.pem/);
});
