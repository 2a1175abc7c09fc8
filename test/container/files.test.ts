import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfiguration } from '../../configuration/loadConfiguration.ts';
import { copies, root, stages } from './dockerfile.ts';

const copied = copies().flatMap(({ sources }) => sources);

test('everything that the image copies is in the repository, and keeps its name', () => {
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  }).split('\n');
  for (const source of copied)
    expect(
      tracked.some((file) => file === source || file.startsWith(`${source}/`)),
      source,
    ).toBe(true);
  for (const { sources, to } of copies())
    for (const source of sources)
      expect(to.endsWith('/') ? normalize(join(to, source.split('/').at(-1) ?? '')) : to).toBe(source);
});

test('whatever API, worker and re-keying import is copied too', () => {
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file) || !existsSync(join(root, file))) return;
    reached.add(file);
    if (!/\.(ts|js|cjs)$/.test(file)) return;
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, path = ''] of text.matchAll(/(?:from|import|import\(|new URL\()\s*'(\.\.?\/[^']+)'/g))
      visit(relative(root, join(root, dirname(file), path)));
  };
  for (const entry of [
    'api/main.ts',
    'worker/main.ts',
    'worker/rekey.ts',
    'worker/deploymentCommand.ts',
    'workflows/tracing.ts',
  ])
    visit(entry);
  expect(reached.size).toBeGreaterThan(150);
  const isCopied = (file: string) =>
    // Generated in the image itself.
    file.startsWith('prisma/generated/') || copied.some((source) => file === source || file.startsWith(`${source}/`));
  expect([...reached].filter((file) => !isCopied(file))).toEqual([]);
});

test('the image runs as nobody in particular, on a pinned Debian, without what is for development', () => {
  const [build = [], image = []] = stages();
  for (const stage of [build, image]) expect(stage[0]?.text).toMatch(/^node:\d+\.\d+\.\d+-slim\b/);
  expect(build.find(({ text }) => text.startsWith('npm ci'))?.text).toBe('npm ci --omit=dev');
  expect(image.filter(({ name }) => name === 'USER')).toEqual([{ name: 'USER', text: 'node' }]);
  expect(image.find(({ name }) => name === 'HEALTHCHECK')?.text).toContain('TENURE_HEALTH');
});

const Service = z.looseObject({
  image: z.string(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.unknown()).default({}),
  read_only: z.boolean().optional(),
});
const Compose = z.looseObject({ services: z.record(z.string(), Service), volumes: z.record(z.string(), z.unknown()) });
const compose = Compose.parse(parse(readFileSync(join(root, 'compose.yaml'), 'utf8'), { merge: true }));
const { services } = compose;

test('every image of the composition is pinned, and every service and volume that is named exists', () => {
  for (const [name, { image, depends_on, volumes }] of Object.entries(services)) {
    expect(image, name).toMatch(/:\d+\.\d+(\.\d+)?$/);
    expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
    for (const volume of volumes) {
      const [source = ''] = volume.split(':');
      if (source.startsWith('./')) expect(existsSync(join(root, source)), source).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  }
});

test('API and worker run read-only, without capabilities, and only the API is reached from the machine itself', () => {
  for (const name of ['api', 'worker'])
    expect(services[name], name).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      image: `tenure:${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}`,
    });
  const published = Object.entries(services).filter(([, { ports }]) => ports.length > 0);
  expect(published.map(([name, { ports }]) => [name, ports])).toEqual([['api', ['127.0.0.1:8080:8080']]]);
  expect(existsSync(join(root, services['worker']?.command?.[0] ?? 'missing'))).toBe(true);
});

test('the configuration of the composition is valid, and health is asked where it is answered', () => {
  const environment = { DATABASE_URL: 'postgresql://tenure:x@postgres:5432/tenure' };
  const { listen, metrics, keys } = loadConfiguration(join(root, 'container/tenure.yaml'), environment);
  const [, image = []] = stages();
  expect(image.some(({ text }) => text === `TENURE_HEALTH=http://127.0.0.1:${listen.port}/healthz`)).toBe(true);
  expect(services['worker']?.environment['TENURE_HEALTH']).toBe(`http://127.0.0.1:${metrics.worker?.port}/healthz`);
  expect(keys.directory.startsWith('/var/lib/tenure/')).toBe(true);
});
