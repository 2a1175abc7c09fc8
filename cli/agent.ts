import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { dpopProof, publicHalf } from '../integrations/agent/agentTokens.ts';
import {
  type StepUpAnswer,
  type StepUpClient,
  type StepUpOrder,
  StepUpRefused,
  stepUpClient,
} from '../integrations/agent/stepUpClient.ts';
import { createAgentKeys, readAgentKeys } from './agentKeyFiles.ts';
import { requireUrl } from './apiCalls.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { coloured, counted, printJson, printLine, printTable, visible } from './output.ts';

interface Who {
  readonly url: string;
  readonly agent: string;
  readonly keys: string;
}

interface Ask extends Who {
  readonly resource: string;
  readonly workspace: string;
  readonly reason: string;
  readonly ttl?: string;
  readonly for?: string;
  readonly forTokenFile?: string;
  readonly wait: number;
  readonly json?: true;
}

/** `tenure agent`: what an agent does by itself, for trying it out and for scripts. Exit code 1 unless it is granted. */
export function registerAgent(program: Command): void {
  const agent = program.command('agent').description('act as an agent: its keys, step-ups, and proofs for its calls');
  const who = [
    new Option('--url <url>', 'the API').env('TENURE_URL').default('http://127.0.0.1:8080'),
    new Option('--agent <id>', "the agent's identity").env('TENURE_AGENT').makeOptionMandatory(),
    keysOption(),
  ];
  const following = [
    new Option('--wait <seconds>', 'wait so long for an answer').argParser(seconds).default(0),
    new Option('--json', 'print the answer as JSON, the grant with it'),
  ];
  const withOptions = (command: Command, ...options: readonly Option[]): Command => {
    for (const option of options) command.addOption(option);
    return command;
  };

  withOptions(agent.command('new-keys'), keysOption())
    .description('make the two keys of an agent in a new directory, and print the public one to register')
    .action(async ({ keys }: Pick<Who, 'keys'>) => printJson(publicHalf((await createAgentKeys(keys)).authentication)));

  withOptions(agent.command('ask'), ...who, ...following)
    .description('ask for a tool, and say what came of it')
    .argument('<tool>', 'as tenure.yaml calls it')
    .argument('<action>')
    .requiredOption('--resource <resource>', 'what it is to be used on')
    .requiredOption('--workspace <workspace>', 'in which context')
    .requiredOption('--reason <reason>', 'what for; approvers read it')
    .option('--ttl <duration>', 'how long a life the grant is to have (PT5M)')
    .option('--for <person>', 'the person it acts for, as the agent says')
    .option(
      '--for-token-file <file>',
      'the file with a token of that person for agents, which shows it (tenure token <person> --for-agents); - is the input',
    )
    .action(async (tool: string, action: string, options: Ask) => {
      const client = clientOf(options);
      const order = orderOf(tool, action, options);
      const asked = await answered(() => client.ask(order, randomUUID()));
      tell(await settled(client, asked, options.wait), options);
    });

  withOptions(agent.command('look'), ...who, ...following)
    .description('say how a step-up stands')
    .argument('<step-up>', 'its id')
    .action(async (id: string, options: Pick<Ask, keyof Who | 'wait' | 'json'>) => {
      const client = clientOf(options);
      tell(await settled(client, await answered(() => client.look(id)), options.wait), options);
    });

  withOptions(agent.command('confirm'), ...who)
    .description("confirm a step-up with the agent's own key, where its flow asks for that")
    .argument('<step-up>', 'its id')
    .action(async (id: string, options: Who) => {
      await answered(() => clientOf(options).confirm(id, randomUUID()));
      printLine(`Confirmed: ${id}`);
    });

  withOptions(agent.command('proof'), keysOption())
    .description('print the DPoP proof (RFC 9449) for one call of a tool')
    .argument('<method>', 'GET, POST, …')
    .argument('<url>', 'of the call')
    .requiredOption('--grant <token>', 'the grant that is sent with it')
    .action(async (method: string, url: string, { keys, grant }: { keys: string; grant: string }) => {
      requireUrl(url);
      const { origin, pathname } = new URL(url);
      const proof = { method: method.toUpperCase(), url: `${origin}${pathname}`, accessToken: grant };
      printLine(await dpopProof({ ...proof, keys: readAgentKeys(keys) }));
    });
}

function keysOption(): Option {
  return new Option('--keys <directory>', "the agent's keys").env('TENURE_AGENT_KEYS').makeOptionMandatory();
}

function seconds(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of seconds.');
  return Number(text);
}

function clientOf({ url, agent, keys }: Who): StepUpClient {
  requireUrl(url);
  const agentId = agent.startsWith('agent:') ? agent : `agent:${agent}`;
  return stepUpClient({ url, agentId, keys: readAgentKeys(keys) });
}

function orderOf(tool: string, action: string, options: Ask): StepUpOrder {
  const { resource, workspace, reason: justification, ttl, for: person, forTokenFile } = options;
  if (person !== undefined && forTokenFile !== undefined)
    throw new CommandFailed('usage', 'Give --for or --for-token-file, one of the two.');
  const token = forTokenFile === undefined ? undefined : readToken(forTokenFile);
  const onBehalfOf = token === undefined ? (person === undefined ? undefined : { person }) : { token };
  return {
    ...{ tool, action, resource, workspace, justification },
    ...(ttl === undefined ? {} : { ttl }),
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
  };
}

/** Never from the command line: everybody on the machine may read that. @param file `-` for standard input */
function readToken(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (cause) {
    throw new CommandFailed('usage', `--for-token-file ${file} cannot be read. Name a file with one token, or - .`, {
      cause,
    });
  }
}

/** @throws CommandFailed with what Tenure said, or that nothing answers */
async function answered<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof StepUpRefused)
      throw new CommandFailed('unavailable', `The API answered ${error.status} (${error.slug}). ${error.message}`);
    throw new CommandFailed(
      'unavailable',
      'Nothing answers as Tenure’s API does. Check --url, and that it is running.',
      {
        cause: error,
      },
    );
  }
}

const longestLookSeconds = 30;

/** Looks until it is decided, or the time is over. */
async function settled(client: StepUpClient, asked: StepUpAnswer, waitSeconds: number): Promise<StepUpAnswer> {
  const endsAtMs = performance.now() + waitSeconds * 1000;
  let now = asked;
  for (;;) {
    const leftSeconds = Math.floor((endsAtMs - performance.now()) / 1000);
    if (now.outcome !== 'pending' || leftSeconds < 1) return now;
    now = await answered(() => client.look(now.id, Math.min(leftSeconds, longestLookSeconds)));
  }
}

const colours = { granted: 'green', denied: 'red', pending: 'yellow' } as const;

function tell(answer: StepUpAnswer, { json }: { json?: true }): void {
  if (answer.outcome !== 'granted') process.exitCode = exitCodes.checkFailed.code;
  if (json) return printJson(answer);
  const { id, outcome, reason, risk, awaiting = [], grant } = answer;
  printLine(`${coloured(colours[outcome], outcome)}${reason === undefined ? '' : `: ${reason}`}, step-up ${id}`);
  printLine(`Risk ${risk.score}, of ${counted(risk.contributions.length, 'weight')}.`);
  for (const { add, because } of risk.contributions) printLine(`  ${add < 0 ? '' : '+'}${add} ${visible(because)}`);
  if (awaiting.length > 0)
    printTable(
      ['waits for', 'of', 'at'],
      awaiting.map(({ what, of, url }) => [what, of, url]),
    );
  if (grant !== undefined)
    printLine(`Granted ${grant.scope} at ${grant.audience} until ${grant.expiresAt}. --json prints the grant itself.`);
}
