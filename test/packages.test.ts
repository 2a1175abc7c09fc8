import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import * as workflows from '../workflows/index.ts';
import { eventually } from './setup/eventually.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

const versions = z.record(z.string(), z.string()).default({});
const manifest = z.object({
  dependencies: versions,
  devDependencies: versions,
  optionalDependencies: versions,
});
const lockfile = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({ version: z.string(), resolved: z.string().optional(), optionalDependencies: versions }),
  ),
});

function read(name: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8'));
}
const wanted = manifest.parse(read('package.json'));
const { packages } = lockfile.parse(read('package-lock.json'));
const direct = { ...wanted.dependencies, ...wanted.devDependencies, ...wanted.optionalDependencies };

test('every dependency is pinned to one exact version, and that one is locked', () => {
  for (const [name, version] of Object.entries(direct)) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/);
    expect(packages[`node_modules/${name}`]?.version, name).toBe(version);
  }
});

test('all packages of the Temporal SDK are one version: two of them break in ways that no message tells', () => {
  const sdk = Object.entries(packages).filter(([path]) => /(^|\/)node_modules\/@temporalio\/[^/]+$/.test(path));
  expect(sdk.length).toBeGreaterThan(5);
  expect([...new Set(sdk.map(([, { version }]) => version))]).toEqual([direct['@temporalio/worker']]);
});

test('the lockfile names no registry, so that any mirror serves it', () => {
  const resolved = Object.entries(packages).filter(([, entry]) => entry.resolved !== undefined);
  expect(resolved).toEqual([]);
  expect(JSON.stringify(packages)).not.toMatch(/https?:\/\/[^"]*registry/);
});

test('the lockfile has every optional package of every platform, wherever it was written', () => {
  for (const [parent, { optionalDependencies }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const entry = packages[`${parent}/node_modules/${name}`] ?? packages[`node_modules/${name}`];
      expect(entry, `${name}@${version}, of ${parent}`).toBeDefined();
    }
  }
});

test('exactly the workflows that are meant to be started can be', () => {
  expect(Object.keys(workflows).sort()).toEqual([
    'lifecycle',
    'onboarding',
    'publication',
    'review',
    'revocation',
    'rotation',
    'stepUp',
  ]);
});

test('two workflows in one worker do not share the state of a module', async () => {
  const address = inject('temporalAddress');
  const taskQueue = `packages-${randomUUID()}`;
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowsPath: fileURLToPath(new URL('packagesWorkflow.ts', import.meta.url)),
  });
  const client = new Client({ connection: await Connection.connect({ address }) });
  const start = () =>
    client.workflow.start<() => Promise<number>>('countStarts', {
      workflowId: randomUUID(),
      taskQueue,
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
    });
  const counts = await worker.runUntil(async () => {
    const handles = await Promise.all([start(), start(), start()]);
    // All have started, and are held in the worker's cache at once.
    await eventually(async () => {
      for (const handle of handles) {
        const { events } = await handle.fetchHistory();
        expect(events?.some((event) => event.workflowTaskCompletedEventAttributes)).toBe(true);
      }
    });
    for (const handle of handles) await handle.signal('release');
    return Promise.all(handles.map((handle) => handle.result()));
  });
  expect(counts).toEqual([1, 1, 1]);
  await client.connection.close();
  await connection.close();
});
