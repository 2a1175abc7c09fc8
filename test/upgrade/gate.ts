import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP port before a server that can be shut, as a network does, and opened again. */
export interface Gate {
  readonly port: number;
  shut(): void;
  open(): void;
  close(): Promise<void>;
}

export async function startGate(serverPort: number): Promise<Gate> {
  const sockets = new Set<Socket>();
  let isShut = false;
  const endAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((client) => {
    if (isShut) {
      client.destroy();
      return;
    }
    const upstream = connect(serverPort, '127.0.0.1');
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      // Broken connections are what a gate is for; each side learns of it by its own socket.
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The gate has no TCP port.');
  return {
    port: address.port,
    shut() {
      isShut = true;
      endAll();
    },
    open() {
      isShut = false;
    },
    async close() {
      endAll();
      server.close();
      await once(server, 'close');
    },
  };
}
