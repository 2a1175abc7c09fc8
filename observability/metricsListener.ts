import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** The port for metrics cannot be had. Nothing is served. */
export class MetricsNotServed extends Error {
  override readonly name = 'MetricsNotServed';
  constructor({ host, port }: ListenAddress, options: ErrorOptions) {
    super(`Metrics cannot be served on ${host}:${port}. Free the port, or change "metrics" in tenure.yaml.`, options);
  }
}

export interface MetricsListenerOptions {
  readonly listen: ListenAddress;
  readonly registry: Registry;
  /** Called before each scrape is answered. */
  readonly refresh: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

export interface MetricsListener {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics` (Prometheus text) and `GET /healthz` on a port of their own, without sign-in: who may reach it is
 * decided by the address it listens on. It shows counts and ages, no identity, person or secret.
 * @throws MetricsNotServed
 */
export async function serveMetrics({
  listen,
  registry,
  refresh,
  onError,
}: MetricsListenerOptions): Promise<MetricsListener> {
  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.method !== 'GET') {
      res.writeHead(405, { Allow: 'GET' }).end();
    } else if (req.url === '/healthz') {
      res.writeHead(200, { 'Content-Type': 'text/plain' }).end('alive\n');
    } else if (req.url === '/metrics') {
      await refresh();
      const text = await registry.metrics();
      res.writeHead(200, { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).end(text);
    } else {
      res.writeHead(404).end();
    }
  }
  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => {
      onError(error);
      res.writeHead(500).end();
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.listen(listen.port, listen.host);
  await once(server, 'listening').catch((cause: unknown) => {
    throw new MetricsNotServed(listen, { cause });
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
