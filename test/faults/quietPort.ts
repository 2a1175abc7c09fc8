import { randomInt } from 'node:crypto';
import { isPortTaken } from '../../embedded/ports.ts';

/** Below where systems take the ports of outgoing connections from (Linux: 32768 up). */
const [lowest, highest] = [20_000, 32_000];

/**
 * A free port of 127.0.0.1 for a server that will be killed and started again: while it is down, no outgoing connection of
 * another program is given its port.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest);
    if (!(await isPortTaken(port))) return port;
  }
}
