import { createServer } from 'node:net';

/** The port is in use by another program. Nothing was started; free the port or choose another. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly port: number;
  constructor({ port, purpose, variable }: { port: number; purpose: string; variable: string }) {
    super(
      `Port ${port} on 127.0.0.1, wanted for ${purpose}, is in use by another program. ` +
        `Stop that program, or set ${variable} to a free port.`,
    );
    this.port = port;
  }
}

/** A port of 127.0.0.1 that was free a moment ago, chosen by the operating system. */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

/** Whether something else holds this port of 127.0.0.1 right now. */
export async function isPortTaken(port: number): Promise<boolean> {
  try {
    await listenOnce(port);
    return false;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return true;
    throw error;
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = probe.address();
      const found = typeof address === 'object' && address !== null ? address.port : port;
      probe.close((error) => (error === undefined ? resolve(found) : reject(error)));
    });
  });
}
