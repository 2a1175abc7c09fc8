import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planPorts, portsFromEnvironment, rememberPorts } from '../../embedded/portPlan.ts';
import { temporaryDirectory } from './stateDirectory.ts';

test('ports asked for win over remembered ones, and the API has 8080 unless told otherwise', async () => {
  const file = join(temporaryDirectory(), 'ports.json');
  const first = await planPorts(file, {});
  expect(first.api).toBe(8080);
  rememberPorts(file, { ...first, api: 9090 });
  expect(await planPorts(file, {})).toEqual({ ...first, api: 9090 });
  expect(await planPorts(file, { api: 9191 })).toEqual({ ...first, api: 9191 });
});

test('a port variable that holds no port is refused by name', () => {
  expect(portsFromEnvironment({ TENURE_PORT: '9090', TENURE_TEMPORAL_PORT: '' })).toEqual({ api: 9090 });
  for (const wrong of ['0', '65536', '80a', '-1', '8080.5']) {
    expect(() => portsFromEnvironment({ TENURE_POSTGRES_PORT: wrong })).toThrow(`TENURE_POSTGRES_PORT is "${wrong}".`);
  }
});
