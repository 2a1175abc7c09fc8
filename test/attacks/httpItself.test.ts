import { connect } from 'node:net';
import { beforeAll, expect, test } from 'vitest';
import { type ApiFixture, apiFixture } from '../api/apiFixture.ts';

/** On raw sockets: what HTTP itself refuses is a problem like any other, ends the connection, and costs next to nothing. */

let api: ApiFixture;
let token: string;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file', timeouts: { headersMs: 400, requestMs: 800, lookMs: 50 } });
  token = await api.tokenOf('requester');
});

/** Sends `parts`, never ends by itself, and reads until the server has ended the connection. */
async function exchanged(...parts: readonly (string | Buffer)[]): Promise<string> {
  const { hostname, port } = new URL(api.address);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  for (const part of parts) socket.write(part);
  await new Promise<void>((resolve) => socket.once('end', resolve).once('close', () => resolve()));
  socket.destroy();
  return received;
}

function problemIn(answer: string) {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head.toLowerCase()).toContain('content-type: application/problem+json');
  expect(head.toLowerCase()).toContain('connection: close');
  const { status, type, detail, instance } = JSON.parse(body);
  expect(head.split(' ')[1]).toBe(String(status));
  expect(instance).toBe(`urn:tenure:http-request:${/x-request-id: (\S+)/i.exec(head)?.[1]}`);
  return { status, slug: type.replace('urn:tenure:problem:', ''), detail };
}

const head = (lines: readonly string[], method = 'POST', path = '/v1/identities') =>
  [`${method} ${path} HTTP/1.1`, 'Host: tenure', ...lines, '', ''].join('\r\n');
const asRequester = () => [
  `Authorization: Bearer ${token}`,
  'Content-Type: application/json',
  'Idempotency-Key: raw-socket',
];

test.each([
  ['headers of 20 KiB', head([`X-Long: ${'a'.repeat(20_000)}`], 'GET', '/healthz'), 431, 'headers-too-large'],
  ['a query of 20 KiB', head([], 'GET', `/v1/requests?cursor=${'a'.repeat(20_000)}`), 431, 'headers-too-large'],
  ['what is no HTTP', 'HELLO\r\n\r\n', 400, 'malformed-http'],
  ['two lengths', head(['Content-Length: 1', 'Content-Length: 2']), 400, 'malformed-http'],
  ['a length and chunks', head(['Content-Length: 1', 'Transfer-Encoding: chunked']), 400, 'malformed-http'],
  ['another expectation', head(['Expect: 200-ok', 'Content-Length: 2']), 417, 'expectation-failed'],
])('%s is refused by a problem, and the connection ends', async (_what, sent, status, slug) => {
  expect(problemIn(await exchanged(sent))).toMatchObject({ status, slug });
});

test.each([
  ['headers that never end', () => 'GET /healthz HTTP/1.1\r\nHost: tenure\r\nX-Slow: '],
  ['a body that never ends', () => `${head([...asRequester(), 'Content-Length: 10'])}{`],
  ['chunks that never end', () => `${head([...asRequester(), 'Transfer-Encoding: chunked'])}1\r\n{\r\n`],
])('%s: the sender is told 408 when the time is over, and holds nothing after it', async (_what, sent) => {
  expect(problemIn(await exchanged(sent()))).toMatchObject({ status: 408, slug: 'request-timeout' });
});

test('a body that is declared too large is refused without one byte of it', async () => {
  const answer = await exchanged(head([...asRequester(), 'Content-Length: 10000000000']));
  expect(problemIn(answer)).toMatchObject({ status: 413, slug: 'too-large' });
});

test('chunks are cut where they exceed what is taken', async () => {
  const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`;
  const answer = await exchanged(head([...asRequester(), 'Transfer-Encoding: chunked']), ...Array(5).fill(chunk));
  expect(problemIn(answer)).toMatchObject({ status: 413, slug: 'too-large' });
});

test('whoever does not sign in is told so before a large body of theirs is read', async () => {
  const answer = await exchanged(head(['Content-Type: application/json', 'Content-Length: 10000000000']));
  expect(problemIn(answer)).toMatchObject({ status: 401, slug: 'unauthenticated' });
});

test('whoever asks first is asked for a body only where one would be read', async () => {
  const expecting = (lines: readonly string[]) => exchanged(head([...lines, 'Expect: 100-continue']));
  const refused = await expecting([...asRequester(), 'Content-Length: 10000000000']);
  expect(refused).not.toContain('100 Continue');
  expect(problemIn(refused)).toMatchObject({ status: 413 });
  const asked = await expecting([...asRequester(), 'Content-Length: 2', 'Connection: close']);
  expect(asked).toMatch(/^HTTP\/1\.1 100 Continue\r\n/);
});

test('a body that is not UTF-8 is refused, not read as something else', async () => {
  const length = 'Content-Length: 3';
  const answer = await exchanged(
    head([...asRequester(), length, 'Connection: close']),
    Buffer.from([0x22, 0xff, 0x22]),
  );
  expect(problemIn(answer)).toMatchObject({ status: 400, slug: 'invalid-request' });
});

test('of a thousand calls that are sent before any answer is read, few are carried out', async () => {
  const path = '/v1/flows/pipelined';
  await exchanged(head([`Authorization: Bearer ${token}`], 'GET', path).repeat(1_000));
  expect(api.logLines.filter((line) => line.includes(path)).length).toBeLessThanOrEqual(32);
});
