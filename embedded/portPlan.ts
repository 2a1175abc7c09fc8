import { z } from 'zod';
import { freePort, isPortTaken, PortTaken } from './ports.ts';
import { readFileIfThere, writePrivateFile } from './privateFiles.ts';

export interface Ports {
  readonly api: number;
  readonly postgres: number;
  readonly temporal: number;
  readonly signIn: number;
}

type Purpose = keyof Ports;

const defaultApiPort = 8080;

const purposes: Record<Purpose, { words: string; variable: string }> = {
  api: { words: 'the API', variable: 'TENURE_PORT' },
  postgres: { words: 'PostgreSQL', variable: 'TENURE_POSTGRES_PORT' },
  temporal: { words: 'Temporal', variable: 'TENURE_TEMPORAL_PORT' },
  signIn: { words: 'the sign-in', variable: 'TENURE_SIGN_IN_PORT' },
};

const port = z.coerce.number().int().min(1).max(65_535);
const Remembered = z.object({ api: port, postgres: port, temporal: port, signIn: port }).partial();

/** A port variable holds something else than a port. */
export class PortInvalid extends Error {
  override readonly name = 'PortInvalid';
}

/** Ports asked for in the environment: TENURE_PORT and its siblings. @throws PortInvalid naming the variable */
export function portsFromEnvironment(environment: NodeJS.ProcessEnv): Partial<Ports> {
  const asked: [Purpose, number][] = [];
  for (const [purpose, { variable }] of entries()) {
    const text = environment[variable];
    if (!text) continue;
    const parsed = port.safeParse(text);
    if (!parsed.success)
      throw new PortInvalid(`${variable} is "${text}". Set it to a port from 1 to 65535, or unset it.`);
    asked.push([purpose, parsed.data]);
  }
  return Object.fromEntries(asked);
}

/** Ports that are settled before a start: those asked for, else those of the last start, and 8080 for the API. */
export function settledPorts(file: string, asked: Partial<Ports>): Partial<Ports> & Pick<Ports, 'api'> {
  const kept = Remembered.parse(JSON.parse(readFileIfThere(file) ?? '{}'));
  return { api: defaultApiPort, ...present(kept), ...present(asked) };
}

/** Which ports to use: the settled ones, and free ones for the rest. Writes nothing: `rememberPorts` does. */
export async function planPorts(file: string, asked: Partial<Ports>): Promise<Ports> {
  const settled = settledPorts(file, asked);
  return {
    api: settled.api,
    postgres: settled.postgres ?? (await freePort()),
    temporal: settled.temporal ?? (await freePort()),
    signIn: settled.signIn ?? (await freePort()),
  };
}

/** @throws PortTaken naming the port, what it is for and the variable that changes it */
export async function demandFree(ports: Ports): Promise<void> {
  for (const [purpose, { words, variable }] of entries()) {
    if (await isPortTaken(ports[purpose])) throw new PortTaken({ port: ports[purpose], purpose: words, variable });
  }
}

/** Keeps the ports for the next start: the sign-in's is part of its tokens, and others have them in their settings. */
export function rememberPorts(file: string, ports: Ports): void {
  writePrivateFile(file, `${JSON.stringify(ports, null, 2)}\n`);
}

function entries(): [Purpose, { words: string; variable: string }][] {
  return Object.entries(purposes) as [Purpose, { words: string; variable: string }][];
}

function present(ports: { [P in Purpose]?: number | undefined }): Partial<Ports> {
  return Object.fromEntries(Object.entries(ports).filter(([, number]) => number !== undefined));
}
