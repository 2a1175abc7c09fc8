import { expect, test } from 'vitest';
import { ConfigurationInvalid } from '../../configuration/loadConfiguration.ts';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';

/** Callers are told apart by the address that a trusted proxy names, and by nothing that they say themselves. */

const from = (api: ApiFixture, forwardedFor: string) =>
  api.send(undefined, '/v1/requests', { headers: { 'x-forwarded-for': forwardedFor } });

test('behind a trusted proxy a flood of one address is not the flood of another', async () => {
  const api = await apiFixture({ limits: { perAddress: 2 }, trustedProxies: ['127.0.0.0/8', '::1'] });
  for (const status of [401, 401, 429]) expect((await from(api, '192.0.2.1')).status).toBe(status);
  expect((await from(api, '192.0.2.2')).status).toBe(401);
});

test('what a caller writes before the address that the proxy appends counts for nothing', async () => {
  const api = await apiFixture({ limits: { perAddress: 2 }, trustedProxies: ['127.0.0.1', '::1', '10.0.0.0/24'] });
  const spoofed = ['198.51.100.1, 192.0.2.1', '198.51.100.2, 192.0.2.1, 10.0.0.9', 'anything, 192.0.2.1'];
  const statuses = [];
  for (const forwardedFor of spoofed) statuses.push((await from(api, forwardedFor)).status);
  expect(statuses).toEqual([401, 401, 429]);
});

test('an address that is none is the connection’s own', async () => {
  const api = await apiFixture({ limits: { perAddress: 2 }, trustedProxies: ['127.0.0.1', '::1'] });
  const statuses = [];
  for (const word of ['one', 'unknown', '_hidden']) statuses.push((await from(api, word)).status);
  expect(statuses).toEqual([401, 401, 429]);
});

test('without trustedProxies nobody chooses the address that they count as, and the log says once what to add', async () => {
  const api = await apiFixture({ limits: { perAddress: 2 } });
  const statuses = [];
  for (const host of [1, 2, 3]) statuses.push((await from(api, `192.0.2.${host}`)).status);
  expect(statuses).toEqual([401, 401, 429]);
  expect(api.logLines.filter((line) => line.includes('trustedProxies'))).toHaveLength(1);
});

test.each(['0.0.0.0/0', '::/0', 'proxy.example.com', '10.0.0.0/33', '10.0.0.1/8/8', 'loopback', '10.0.0.0/', ''])(
  'the proxy %j is refused in tenure.yaml',
  async (proxy) => {
    await expect(apiFixture({ trustedProxies: [proxy] })).rejects.toThrow(ConfigurationInvalid);
  },
);
