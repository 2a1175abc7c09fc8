import { afterAll, expect, inject, test } from 'vitest';
import { createVaultStore, type VaultStoreOptions } from '../../../activities/stores/vault.ts';
import { rejectionOf } from '../../contract/canaries.ts';
import { randomIdentityId } from '../../contract/issuers/issuerContract.ts';
import { type ClosableStore, type StoreSubject, storeContract } from '../../contract/stores/storeContract.ts';
import { asRoot } from '../../setup/vault.ts';

const vault = inject('vault');
const opened: ClosableStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
});

function storeWith(given: Partial<VaultStoreOptions> = {}): ClosableStore {
  const { address, mount, prefix, approle } = vault;
  const login = { mount: approle.mount, roleId: approle.roleId, secretId: () => approle.secretId };
  const store = createVaultStore('vault', { address, mount, prefix, approle: login, timeoutMs: 2_000, ...given });
  opened.push(store);
  return store;
}

async function vaultSubject(): Promise<StoreSubject> {
  const { mount, prefix, approle } = vault;
  return {
    port: Number(new URL(vault.address).port),
    secrets: [vault.rootToken, approle.secretId],
    wire: {
      stage: [`POST /v1/${mount}/data`],
      promote: [`POST /v1/${mount}/data`],
      quarantine: [`POST /v1/${mount}/data`, `PUT /v1/${mount}/destroy`],
      discard: [`PUT /v1/${mount}/destroy`],
    },
    connect: ({ port, isOwnLoginWrong = false } = {}) =>
      storeWith({
        ...(port === undefined ? {} : { address: `http://127.0.0.1:${port}` }),
        ...(isOwnLoginWrong ? { approle: { ...approle, secretId: () => 'wrong' } } : {}),
      }),
    async readableText(identityId) {
      const folder = `${mount}/metadata/${prefix}/staged/${identityId}`;
      const { keys = [] } = await asRoot(vault, 'GET', `${folder}?list=true`);
      const paths = [
        `live/${identityId}`,
        ...(Array.isArray(keys) ? keys.map((key) => `staged/${identityId}/${key}`) : []),
      ];
      const texts: string[] = [];
      for (const path of paths) {
        const { current_version: current = 0 } = await asRoot(vault, 'GET', `${mount}/metadata/${prefix}/${path}`);
        for (let version = 1; version <= Number(current); version += 1) {
          await asRoot(vault, 'POST', `${mount}/undelete/${prefix}/${path}`, { versions: [version] });
          texts.push(JSON.stringify(await asRoot(vault, 'GET', `${mount}/data/${prefix}/${path}?version=${version}`)));
        }
      }
      return texts.join('\n');
    },
    close: async () => {},
  };
}

storeContract('vault', vaultSubject);

const store = storeWith();

async function promoted(epoch = 1) {
  const order = { identityId: randomIdentityId(), version: 1, epoch, value: 'a value' };
  await store.stage(order);
  await store.promote(order);
  return { ...order, live: `${vault.prefix}/live/${order.identityId}` };
}

test('consumers find the value in one field of the live path', async () => {
  const { live } = await promoted(3);
  expect(await asRoot(vault, 'GET', `${vault.mount}/data/${live}`)).toMatchObject({
    data: { value: 'a value', version: 1, epoch: 3 },
  });
});

test('a late writer with an old check-and-set cannot serve a revoked value again', async () => {
  const { live, ...order } = await promoted();
  await store.quarantine({ ...order, epoch: 2 });
  for (const cas of [0, 1]) {
    const late = asRoot(vault, 'POST', `${vault.mount}/data/${live}`, { options: { cas }, data: { value: 'late' } });
    expect((await rejectionOf(late)).message).toContain('check-and-set');
  }
  expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 2 });
});

test('a live version that somebody deleted is not read, promoted over or taken for absent; a quarantine still goes through', async () => {
  const { live, ...order } = await promoted();
  await asRoot(vault, 'DELETE', `${vault.mount}/data/${live}`);
  for (const call of [() => store.read(order), () => store.promote({ ...order, epoch: 2 })]) {
    const error = await rejectionOf(call());
    expect(error.name).toBe('StoreRefused');
    expect(error.message).toMatch(/deleted outside Tenure.*undelete/);
  }
  await store.quarantine({ ...order, epoch: 2 });
  expect(await store.read(order)).toEqual({ kind: 'tombstone', epoch: 2 });
});

test("what somebody else wrote at Tenure's paths is reported and left alone", async () => {
  const order = { identityId: randomIdentityId(), version: 1, epoch: 1, value: 'a value' };
  const paths = [`live/${order.identityId}`, `staged/${order.identityId}/1`].map(
    (path) => `${vault.mount}/data/${vault.prefix}/${path}`,
  );
  for (const path of paths) await asRoot(vault, 'POST', path, { data: { foreign: 'theirs' } });
  for (const call of [
    () => store.stage(order),
    () => store.promote(order),
    () => store.quarantine(order),
    () => store.read(order),
  ])
    expect((await rejectionOf(call())).message).toContain('not written by Tenure');
  for (const path of paths)
    expect(await asRoot(vault, 'GET', path)).toMatchObject({ data: { foreign: 'theirs' }, metadata: { version: 1 } });
});

test('an engine that is no KV version 2, or missing, is refused before any value is sent to it', async () => {
  await asRoot(vault, 'POST', 'sys/mounts/kv-one', { type: 'kv', options: { version: '1' } });
  await asRoot(vault, 'PUT', 'sys/policies/acl/kv-one', {
    policy: 'path "kv-one/*" { capabilities = ["create", "read", "update", "list"] }',
  });
  await asRoot(vault, 'POST', 'auth/approle/role/kv-one', { token_policies: 'kv-one,tenure' });
  const { role_id } = await asRoot(vault, 'GET', 'auth/approle/role/kv-one/role-id');
  const { secret_id } = await asRoot(vault, 'POST', 'auth/approle/role/kv-one/secret-id', {});
  const approle = { mount: 'approle', roleId: String(role_id), secretId: () => String(secret_id) };
  for (const mount of ['kv-one', 'no-such-mount']) {
    const order = { identityId: randomIdentityId(), version: 1, value: 'a value' };
    expect((await rejectionOf(storeWith({ mount, approle }).stage(order))).name).toBe('StoreRefused');
  }
  expect(await asRoot(vault, 'GET', 'kv-one/?list=true')).toEqual({});
});

test('a path outside the policy is refused with the path named', async () => {
  const outside = storeWith({ prefix: 'elsewhere' });
  const error = await rejectionOf(outside.stage({ identityId: randomIdentityId(), version: 1, value: 'a value' }));
  expect(error.name).toBe('StoreRefused');
  expect(error.message).toMatch(/secret\/data\/elsewhere.*policy/);
});

test('a token that Vault forgot is replaced by a new login', async () => {
  const forgotten = storeWith();
  const before = await accessors();
  const order = await promoted();
  await forgotten.read(order);
  for (const accessor of (await accessors()).filter((each) => !before.includes(each)))
    await asRoot(vault, 'POST', 'auth/token/revoke-accessor', { accessor });
  expect(await forgotten.read(order)).toMatchObject({ value: 'a value' });
  await store.read(order);
});

test('a closed store leaves no token behind, and works again by another login', async () => {
  const order = await promoted();
  const before = await accessors();
  const closing = storeWith();
  await closing.read(order);
  expect(await accessors()).toHaveLength(before.length + 1);
  await closing.close();
  await closing.close();
  expect(await accessors()).toHaveLength(before.length);
  expect(await closing.read(order)).toMatchObject({ value: 'a value' });
});

async function accessors(): Promise<string[]> {
  const { keys } = await asRoot(vault, 'GET', 'auth/token/accessors?list=true');
  return Array.isArray(keys) ? keys.map(String).sort() : [];
}
