import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on 127.0.0.1 that fails on purpose: the edge where contract tests let partial failure happen. */
export interface FaultProxy {
  readonly port: number;
  /** Accepts connections and never says a word, like a host behind a firewall that drops. */
  silence(): void;
  /** Cuts the connection when `marker` is on its way to the server, which never sees it. Once. Resolves when it happened. */
  cutBefore(marker: string): Promise<void>;
  /** Lets `marker` through and cuts the connection in place of the server's answer. Once. Resolves when it happened. */
  cutAfter(marker: string): Promise<void>;
  close(): Promise<void>;
}

interface Fault {
  readonly marker: string;
  readonly isAfter: boolean;
  readonly happened: () => void;
}

export async function startFaultProxy(upstreamPort: number): Promise<FaultProxy> {
  let fault: Fault | undefined;
  let isSilent = false;
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    track(client);
    if (isSilent) return;
    const upstream = track(connect(upstreamPort, '127.0.0.1'));
    let cut: Fault | undefined;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on('data', (chunk) => {
      if (fault !== undefined && chunk.includes(fault.marker)) {
        cut = fault;
        fault = undefined;
        if (!cut.isAfter) {
          end();
          cut.happened();
          return;
        }
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (cut === undefined) {
        client.write(chunk);
        return;
      }
      end();
      cut.happened();
    });
    client.on('close', end);
    upstream.on('close', end);
  });

  function track(socket: Socket): Socket {
    sockets.add(socket);
    // A broken connection is what this proxy is for; each side learns of it by its own socket.
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    return socket;
  }

  function arm(marker: string, isAfter: boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    fault = { marker, isAfter, happened: resolve };
    return promise;
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no TCP port.');

  return {
    port: address.port,
    silence() {
      isSilent = true;
    },
    cutBefore: (marker) => arm(marker, false),
    cutAfter: (marker) => arm(marker, true),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
