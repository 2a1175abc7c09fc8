import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '../embedded/privateFiles.ts';
import { type AgentKeys, newAgentKeys } from '../integrations/agent/agentTokens.ts';
import { CommandFailed } from './exitCodes.ts';

/** A private key on an elliptic curve, as a JWK (RFC 7518 §6.2). */
const PrivateJwk = z.object({
  kty: z.literal('EC'),
  crv: z.string(),
  x: z.string(),
  y: z.string(),
  d: z.string(),
  alg: z.string(),
});

const files = { authentication: 'authentication.jwk', possession: 'possession.jwk' } as const;

/**
 * Effect: a directory of its own with both keys, for this user alone.
 * @throws CommandFailed when it is there already: keys are never written over
 */
export async function createAgentKeys(directory: string): Promise<AgentKeys> {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    throw new CommandFailed('usage', `${directory} cannot be made: name a directory that does not exist yet.`, {
      cause,
    });
  }
  const keys = await newAgentKeys();
  for (const name of ['authentication', 'possession'] as const)
    writePrivateFile(join(directory, files[name]), `${JSON.stringify(keys[name])}\n`);
  return keys;
}

/** @throws CommandFailed naming the file that cannot be read, or is no key */
export function readAgentKeys(directory: string): AgentKeys {
  return {
    authentication: readKey(join(directory, files.authentication)),
    possession: readKey(join(directory, files.possession)),
  };
}

function readKey(path: string): z.output<typeof PrivateJwk> {
  try {
    return PrivateJwk.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    // What stands in it is a private key, or should be: the cause would quote it.
    throw new CommandFailed(
      'configuration',
      `${path} is not a key that can be read. Make keys with: tenure agent new-keys --keys <directory>`,
    );
  }
}
