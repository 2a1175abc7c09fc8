import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';
import { createVaultStore } from '../../../activities/stores/vault.ts';
import { vaultSession } from '../../../activities/stores/vaultSession.ts';
import { rejectionOf } from '../../contract/canaries.ts';

type Respond = (request: { line: string; headers: IncomingMessage['headers']; body: string }) => {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
};

const servers: Server[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** A server that says what `respond` says and remembers what it was asked. */
async function scripted(
  respond: Respond,
): Promise<{ address: string; asked: string[]; headers: IncomingMessage['headers'][] }> {
  const asked: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const line = `${request.method} ${request.url}`;
    asked.push(line);
    headers.push(request.headers);
    const answer = respond({ line, headers: request.headers, body });
    response.writeHead(answer.status, answer.headers);
    response.end(
      answer.body === undefined
        ? undefined
        : typeof answer.body === 'string'
          ? answer.body
          : JSON.stringify(answer.body),
    );
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no TCP port.');
  return { address: `http://127.0.0.1:${address.port}`, asked, headers };
}

const secretId = 'canary-secret-id';
const approle = { mount: 'approle', roleId: 'role', secretId: () => secretId };

function sessionTo(address: string, namespace?: string) {
  return vaultSession('vault', { address, approle, namespace, timeoutMs: 2_000 });
}

function loginAnswer(token: string, leaseSeconds = 60, renewable = true) {
  return { status: 200, body: { auth: { client_token: token, lease_duration: leaseSeconds, renewable } } };
}

const login = 'POST /v1/auth/approle/login';
const renewal = 'POST /v1/auth/token/renew-self';
const order = { method: 'GET', path: 'a' } as const;
const asking = 'GET /v1/a';

/** Moves the monotonic clock that sessions read. */
function clock(): { advanceSeconds(seconds: number): void } {
  let nowMs = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  return {
    advanceSeconds(seconds) {
      nowMs += seconds * 1000;
    },
  };
}

test('a token is used until two thirds of its life, then renewed, and replaced by a login once it has expired', async () => {
  const time = clock();
  const { address, asked } = await scripted(({ line }) => (line === asking ? { status: 204 } : loginAnswer('token')));
  const session = sessionTo(address);
  for (const seconds of [0, 39, 2, 59, 61]) {
    time.advanceSeconds(seconds);
    await session.ask(order);
  }
  expect(asked).toEqual([login, asking, asking, renewal, asking, renewal, asking, login, asking]);
});

test('a token that is not renewable, no longer renewed, or near its maximum is replaced by a login', async () => {
  const renewals = [{ status: 403 }, { status: 400 }, loginAnswer('short', 20)];
  for (const answer of renewals) {
    const time = clock();
    const { address, asked } = await scripted(({ line }) =>
      line === renewal ? answer : line === login ? loginAnswer('token') : { status: 204 },
    );
    const session = sessionTo(address);
    await session.ask(order);
    time.advanceSeconds(45);
    await session.ask(order);
    expect(asked).toEqual([login, asking, renewal, login, asking]);
  }
  const time = clock();
  const { address, asked } = await scripted(({ line }) =>
    line === login ? loginAnswer('token', 60, false) : { status: 204 },
  );
  const session = sessionTo(address);
  await session.ask(order);
  time.advanceSeconds(45);
  await session.ask(order);
  expect(asked).toEqual([login, asking, login, asking]);
});

test('calls at once share one login', async () => {
  const { address, asked } = await scripted(({ line }) => (line === login ? loginAnswer('token') : { status: 204 }));
  const session = sessionTo(address);
  await Promise.all([session.ask(order), session.ask(order), session.ask(order)]);
  expect(asked.filter((line) => line === login)).toHaveLength(1);
});

test('a failed login is tried again by the next call', async () => {
  let isDown = true;
  const { address } = await scripted(({ line }) =>
    isDown ? { status: 503 } : line === login ? loginAnswer('token') : { status: 204 },
  );
  const session = sessionTo(address);
  expect((await rejectionOf(session.ask(order))).name).toBe('StoreUnavailable');
  isDown = false;
  expect(await session.ask(order)).toMatchObject({ status: 204 });
});

test('one refusal under a token leads to one new login, two are a refusal', async () => {
  const { address, asked } = await scripted(({ line }) => (line === login ? loginAnswer('token') : { status: 403 }));
  const error = await rejectionOf(sessionTo(address).ask(order));
  expect(error.name).toBe('StoreRefused');
  expect(error.message).toMatch(/GET a .*policy/);
  expect(asked).toEqual([login, asking, login, asking]);
});

test('the namespace goes with every request, the token with every one but the login', async () => {
  const { address, headers } = await scripted(({ line }) => (line === login ? loginAnswer('token') : { status: 204 }));
  await sessionTo(address, 'team/a').ask(order);
  expect(headers.map((each) => [each['x-vault-namespace'], each['x-vault-token'], each['x-vault-request']])).toEqual([
    ['team/a', undefined, 'true'],
    ['team/a', 'token', 'true'],
  ]);
});

test.each([
  [301, 'StoreUnavailable', 'not followed'],
  [307, 'StoreUnavailable', 'not followed'],
  [405, 'StoreRefused', 'does not take'],
  [412, 'StoreUnavailable', 'failed'],
  [413, 'StoreRefused', 'does not take'],
  [429, 'StoreUnavailable', 'rate'],
  [472, 'StoreUnavailable', 'failed'],
  [500, 'StoreUnavailable', 'failed'],
  [503, 'StoreUnavailable', 'sealed'],
])('status %i is %s', async (status, name, word) => {
  const { address, asked } = await scripted(({ line }) =>
    line === login ? loginAnswer('token') : { status, headers: { location: 'http://127.0.0.1:1/elsewhere' } },
  );
  const error = await rejectionOf(sessionTo(address).ask(order));
  expect([error.name, error.message]).toEqual([name, expect.stringContaining(word)]);
  expect(asked).toEqual([login, asking]);
});

test('an answer that is no JSON, too large, or of another form is no answer', async () => {
  for (const body of ['<html>', 'x'.repeat(5 * 1024 * 1024), '{"auth": {}}']) {
    const { address } = await scripted(() => ({ status: 200, body }));
    expect((await rejectionOf(sessionTo(address).ask(order))).name).toBe('StoreUnavailable');
  }
});

test.each([400, 403, 404, 429, 500])(
  'a server that answers %i and repeats all it was sent cannot make an error show a secret',
  async (status) => {
    const value = 'canary-value';
    const { address } = await scripted(({ line, headers, body }) =>
      line === login
        ? loginAnswer('canary-token')
        : line.includes('/sys/internal/')
          ? { status: 200, body: { data: { type: 'kv', options: { version: '2' } } } }
          : { status, body: { errors: [body, JSON.stringify(headers)], data: body } },
    );
    const store = createVaultStore('vault', { address, mount: 'secret', prefix: 'tenure', approle });
    const staging = await rejectionOf(store.stage({ identityId: 'a', version: 1, value }));
    const reading = await rejectionOf(store.read({ identityId: 'a' }));
    const refusing = await scripted(({ body }) => ({ status, body: { errors: [body] } }));
    const logging = await rejectionOf(sessionTo(refusing.address).ask(order));
    for (const error of [staging, reading, logging])
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/canary/);
  },
);

test('names in paths cannot leave their place', async () => {
  const { address, asked } = await scripted(({ line }) =>
    line === login
      ? loginAnswer('token')
      : line.includes('/sys/')
        ? { status: 200, body: { data: { type: 'kv', options: { version: '2' } } } }
        : { status: 404, body: { errors: [] } },
  );
  const store = createVaultStore('vault', { address, mount: '/team/kv/', prefix: 'a b/c?d', approle });
  await store.read({ identityId: 'x#y' });
  expect(asked.at(-1)).toBe('GET /v1/team/kv/data/a%20b/c%3Fd/live/x%23y');
  expect(() => createVaultStore('vault', { address, mount: 'kv', prefix: '../other', approle })).toThrow(/"\.\."/);
  expect(() => createVaultStore('vault', { address, mount: 'kv/..', prefix: 'tenure', approle })).toThrow(/"\.\."/);
});
