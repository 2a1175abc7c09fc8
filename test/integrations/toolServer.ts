import { createHash, randomUUID } from 'node:crypto';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Request } from 'express';
import type { Grant } from '../../integrations/resource-server/grant.ts';
import { type GrantRules, grantOf, requireGrant } from '../../integrations/resource-server/requireGrant.ts';
import { type DpopKey, signedProof } from './dpopKey.ts';
import { audience, type GrantIssuer } from './grantIssuer.ts';

export interface ToolServer {
  readonly url: string;
  /** The grants of the calls that were served, in order. */
  readonly served: Grant[];
  readonly outages: Error[];
  close(): Promise<void>;
}

/** A tool behind the middleware: `GET|POST /papers/{paper}` of one workspace; `/open` needs nothing. */
export async function toolServer(issuer: GrantIssuer, rules: Partial<GrantRules> = {}): Promise<ToolServer> {
  const served: Grant[] = [];
  const outages: Error[] = [];
  const app = express();
  // As behind a proxy that sends anything a client sends.
  app.set('trust proxy', true);
  const server = app.listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  app.use(
    requireGrant({
      issuer: issuer.url,
      tool: 'search',
      audience,
      publicUrl: url,
      needs,
      introspect: 'never',
      report: (outage) => outages.push(outage),
      ...rules,
    }),
  );
  app.get('/open', (_req, res) => res.json({ open: true }));
  app.all('/papers/:paper', (_req, res) => {
    served.push(grantOf(res));
    res.json({ served: true });
  });
  return {
    url,
    served,
    outages,
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function needs(req: Request) {
  if (req.path === '/open') return 'nothing';
  return { action: req.method === 'POST' ? 'write' : 'read', resource: req.path.slice(1), workspace: 'research' };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was answered is looked into
  readonly body: any;
}

/** One HTTP call with exactly these header lines; `fetch` joins, adds and refuses some. */
export async function sent(
  url: string,
  { method = 'GET', target, headers = [] }: { method?: string; target?: string; headers?: [string, string][] } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname, search, host } = new URL(url);
    const hasHost = headers.some(([name]) => name.toLowerCase() === 'host');
    const call = request({
      hostname,
      port,
      method,
      path: target ?? pathname + search,
      headers: [...(hasHost ? [] : ['Host', host]), ...headers.flat()],
      setHost: false,
    });
    call.on('error', reject).on('response', (response) => {
      let text = '';
      response
        .on('data', (chunk) => (text += String(chunk)))
        .on('end', () => {
          const isJson = response.headers['content-type']?.startsWith('application/json') === true;
          const body: unknown = isJson ? JSON.parse(text) : text;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
    });
    call.end();
  });
}

/** A proof for a call with a token, with members changed or, as `undefined`, left out. */
export function proofFor(
  key: DpopKey,
  { url, method = 'GET', token }: { url: string; method?: string; token: string },
  changed: Record<string, unknown> = {},
): string {
  return signedProof(key, {
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash('sha256').update(token).digest('base64url'),
    ...changed,
  });
}

/** A call as an agent makes it: the token, and a proof for this call. */
export async function called(
  key: DpopKey,
  call: { url: string; method?: string; token: string },
  headers: [string, string][] = [],
): Promise<Answer> {
  const { url, method = 'GET', token } = call;
  return sent(url, {
    method,
    headers: [['Authorization', `DPoP ${token}`], ['DPoP', proofFor(key, call)], ...headers],
  });
}
