import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createSealedStore } from '../../../activities/stores/sealed.ts';
import { missingSealedKeys } from '../../../activities/stores/sealedKeyCheck.ts';
import { loadSealedKeys } from '../../../activities/stores/sealedKeys.ts';
import { openPrisma } from '../../../ledger/client.ts';
import { freshDatabase } from '../../setup/database.ts';

test('a start with a wrong key of a sealed store names the key file, the store and what cannot be opened, and no key', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tenure-sealed-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const keyFile = (name: string): { file: string; text: string } => {
    const [file, text] = [join(directory, name), randomBytes(32).toString('base64')];
    writeFileSync(file, `${text}\n`, { mode: 0o600 });
    return { file, text };
  };
  const [right, wrong] = [keyFile('right.key'), keyFile('wrong.key')];
  const database = await freshDatabase();
  const prisma = openPrisma({ databaseUrl: database.url });
  onTestFinished(async () => {
    await prisma.$disconnect();
    await database.drop();
  });
  const storeWith = (file: string, previousKeyFiles: string[] = []) =>
    ({ type: 'sealed', keyFile: file, previousKeyFiles }) as const;
  const check = (store: ReturnType<typeof storeWith>) => missingSealedKeys({ stores: { main: store } }, prisma, {});

  expect(await check(storeWith(wrong.file)), 'an empty store opens with any key').toBeUndefined();
  const store = createSealedStore('main', { keys: loadSealedKeys(storeWith(right.file), {}), prisma });
  await store.stage({ identityId: 'a-service', version: 1, value: 'a secret' });
  expect(await check(storeWith(right.file))).toBeUndefined();
  expect(await check(storeWith(wrong.file, [right.file]))).toBeUndefined();

  const said = (await check(storeWith(wrong.file))) ?? '';
  expect(said).toContain('"main"');
  expect(said).toContain(wrong.file);
  expect(said).toContain(`1 values are sealed under key ${loadSealedKeys(storeWith(right.file), {}).writing.id}`);
  expect(said).not.toContain(wrong.text);
});
