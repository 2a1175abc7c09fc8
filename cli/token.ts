import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { CommandFailed } from './exitCodes.ts';
import { stateDirectory } from './stateDirectory.ts';

const SignIn = z.object({
  tokenEndpoint: z.url(),
  clientId: z.string(),
  clientSecret: z.string(),
  grantType: z.string(),
});
const TokenAnswer = z.object({ access_token: z.string() });
interface TokenOptions {
  readonly forAgents?: true;
  readonly pipeline?: string;
  readonly triggeredBy?: string;
}

const Refusal = z.object({ error_description: z.string() });

/** `tenure token`: prints a token of the embedded sign-in and nothing else, for `$(tenure token owner)`. */
export function registerToken(program: Command): void {
  program
    .command('token')
    .description('print an access token of the embedded sign-in (only on the machine that runs `tenure up`)')
    .argument('[person]', 'the person: the part of the e-mail address before @, for example security-1')
    .option('--for-agents', 'one to give to an agent, which shows with it for whom it acts; it signs nobody in')
    .option('--pipeline <name>', 'a token for a pipeline instead')
    .option('--triggered-by <person>', 'with --pipeline: the person whose push started the run')
    .action(async (person: string | undefined, options: TokenOptions) => {
      if ((person === undefined) === (options.pipeline === undefined)) {
        throw new CommandFailed('usage', 'Name a person, or a pipeline with --pipeline <name>, and not both.');
      }
      if (person !== undefined && options.triggeredBy !== undefined) {
        throw new CommandFailed('usage', '--triggered-by goes with --pipeline only.');
      }
      if (person === undefined && options.forAgents) {
        throw new CommandFailed('usage', '--for-agents goes with a person only.');
      }
      const asked = {
        ...(person === undefined ? {} : { person }),
        ...(options.forAgents ? { for_agents: 'true' } : {}),
        ...(options.pipeline === undefined ? {} : { pipeline: options.pipeline }),
        ...(options.triggeredBy === undefined ? {} : { triggered_by: options.triggeredBy }),
      };
      process.stdout.write(`${await requestToken(asked)}\n`);
    });
}

async function requestToken(asked: Record<string, string>): Promise<string> {
  const signIn = readSignIn(join(stateDirectory(), 'sign-in.json'));
  let answer: Response;
  try {
    answer = await fetch(signIn.tokenEndpoint, {
      method: 'POST',
      redirect: 'error',
      headers: {
        authorization: `Basic ${Buffer.from(`${signIn.clientId}:${signIn.clientSecret}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ grant_type: signIn.grantType, ...asked }),
      signal: AbortSignal.timeout(10_000),
    });
  } catch (cause) {
    throw new CommandFailed('unavailable', 'The embedded sign-in does not answer. Start it with `npm start`.', {
      cause,
    });
  }
  const body: unknown = await answer.json();
  if (answer.ok) return TokenAnswer.parse(body).access_token;
  const refusal = Refusal.safeParse(body);
  throw new CommandFailed(
    answer.status === 400 ? 'usage' : 'unavailable',
    refusal.success ? refusal.data.error_description : `The embedded sign-in answered with status ${answer.status}.`,
  );
}

function readSignIn(path: string): z.output<typeof SignIn> {
  try {
    return SignIn.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') {
      throw new CommandFailed(
        'unavailable',
        `There is no ${path}: Tenure was not started here yet. Run \`npm start\`.`,
      );
    }
    if (code === 'EACCES') {
      throw new CommandFailed('configuration', `${path} belongs to another user: use the one that runs \`tenure up\`.`);
    }
    throw new CommandFailed('configuration', `${path} is damaged. Stop \`tenure up\` and start it again.`, { cause });
  }
}
