import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { expect, onTestFinished, test } from 'vitest';
import { admission, defaultLanes } from '../../api/admission.ts';
import { setAnonymous, setPrincipal } from '../../api/auth/principal.ts';
import { apiServer } from '../../api/httpServer.ts';
import type { Route } from '../../api/route.ts';

/** The lanes alone, under a server of the API's and callers on raw sockets who take none of their answers. */

const lanes = {
  ...defaultLanes,
  safety: { atOnce: 1, perKey: 1, waitingPerKey: 0 },
  ordinary: { atOnce: 2, perKey: 1, waitingPerKey: 0 },
};
/** More than the buffers of both ends of a connection hold. */
const large = Buffer.alloc(64 * 1024 * 1024);

/** A server where everything is in one lane, and what each call is made of comes from the test. */
async function lanedServer(route: Partial<Route>, signIn: RequestHandler, answer: RequestHandler) {
  const app = express();
  app.set('trust proxy', true);
  app.use(signIn, ...admission(lanes)(route as Route), answer);
  app.use(refused);
  const server = apiServer(app);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async statusOf(path: string, headers: Record<string, string> = {}) {
      const answered = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
      await answered.body?.cancel();
      return answered.status;
    },
  };
}

const refused: ErrorRequestHandler = (error, _req, res, _next) => {
  res.status(error.slug === 'too-many-requests' ? 429 : 500).end();
};

const caller: RequestHandler = (req, res, next) => {
  const id = req.path.slice(1);
  setPrincipal(res, { id, ids: [id], kind: 'person', groups: [], roles: [] });
  next();
};

test('answers that their callers never take hold no place of what stops harm', async () => {
  const made = Promise.withResolvers<void>();
  const { port, statusOf } = await lanedServer({ isSafety: true }, caller, (req, res) => {
    res.end(req.path === '/idle' ? large : 'done');
    if (req.path === '/idle') made.resolve();
  });
  const idle = connect({ host: '127.0.0.1', port });
  onTestFinished(() => void idle.destroy());
  idle.pause();
  idle.write('GET /idle HTTP/1.1\r\nHost: tenure\r\n\r\n');
  await made.promise;
  expect(await statusOf('/responder')).toBe(200);
});

test('of all addresses of one IPv6 network, who signs in nowhere has one caller’s places', async () => {
  const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const nobody: RequestHandler = (_req, res, next) => {
    setAnonymous(res);
    next();
  };
  const { statusOf } = await lanedServer({}, nobody, async (req, res) => {
    begun.resolve();
    if (req.path === '/held') await released.promise;
    res.end();
  });
  const first = statusOf('/held', { 'x-forwarded-for': '2001:db8:0:1::1' });
  await begun.promise;
  expect(await statusOf('/', { 'x-forwarded-for': '2001:db8:0:1:ffff::2' })).toBe(429);
  expect(await statusOf('/', { 'x-forwarded-for': '2001:db9::1' })).toBe(200);
  released.resolve();
  expect(await first).toBe(200);
});
