import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSealedStore } from '../../activities/stores/sealed.ts';
import { type SealedKey, sealedKey, sealedKeys } from '../../activities/stores/sealedKeys.ts';
import { openPrisma } from '../../ledger/client.ts';
import { randomIdentityId } from '../contract/issuers/issuerContract.ts';
import { type FreshDatabase, freshDatabase } from '../setup/database.ts';

let database: FreshDatabase;
let prisma: ReturnType<typeof openPrisma>;
let directory: string;

beforeAll(async () => {
  database = await freshDatabase();
  prisma = openPrisma({ databaseUrl: database.url });
  directory = mkdtempSync(join(tmpdir(), 'tenure-rekey-'));
});

afterAll(async () => {
  await prisma.$disconnect();
  await database.drop();
  rmSync(directory, { recursive: true });
});

function newKey(file: string): SealedKey {
  const text = randomBytes(32).toString('base64');
  writeFileSync(join(directory, file), `${text}\n`, { mode: 0o600 });
  return sealedKey(text, file);
}

async function rekey(...args: string[]): Promise<{ code: number; output: string }> {
  const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
  const { TENURE_CONFIG: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, 'store', 'rekey', ...args], {
    cwd: directory,
    env: { ...env, DATABASE_URL: database.url },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, output };
}

test('tenure store rekey seals everything under the current key, and says when previous keys can go', async () => {
  const [old, current, lost] = [newKey('old.key'), newKey('current.key'), newKey('lost.key')];
  const order = { identityId: randomIdentityId(), version: 1, epoch: 1, value: 'a value' };
  await createSealedStore('sealed', { keys: sealedKeys(old), prisma }).stage(order);
  await createSealedStore('sealed', { keys: sealedKeys(lost), prisma }).stage({ ...order, version: 2 });
  const config = join(directory, 'tenure.yaml');
  const store = (previous: string) =>
    `keys: {directory: keys}\nstores: {sealed: {type: sealed, keyFile: current.key, previousKeyFiles: [${previous}]}}\n`;

  writeFileSync(config, store('old.key'));
  const first = await rekey('--config', config);
  expect(first).toMatchObject({ code: 1, output: expect.stringContaining(`1 values are sealed under key ${lost.id}`) });

  writeFileSync(config, store('old.key, lost.key'));
  const second = await rekey();
  expect(second).toMatchObject({
    code: 0,
    output: expect.stringContaining(`1 values sealed anew, all that its keys open are under key ${current.id}`),
  });
  expect(await createSealedStore('sealed', { keys: sealedKeys(current), prisma }).readStaged(order)).toBe('a value');
});

test('tenure store rekey without a configuration, or with a missing key, ends with 78 and what to do', async () => {
  expect(await rekey('--config', 'nowhere.yaml')).toMatchObject({
    code: 78,
    output: expect.stringContaining('nowhere.yaml'),
  });
  writeFileSync(
    join(directory, 'broken.yaml'),
    'keys: {directory: keys}\nstores: {sealed: {type: sealed, keyFile: gone.key}}\n',
  );
  expect(await rekey('--config', 'broken.yaml')).toMatchObject({
    code: 78,
    output: expect.stringContaining('gone.key'),
  });
});
