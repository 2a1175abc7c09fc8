// What `tenure up` runs: everything in one terminal, until Ctrl-C. See docs/embedded.md.
import { exitCodes } from '../cli/exitCodes.ts';
import { coloured } from '../cli/output.ts';
import { stateDirectory } from '../cli/stateDirectory.ts';
import { PortInvalid, portsFromEnvironment } from './portPlan.ts';
import { PortTaken } from './ports.ts';
import { AlreadyRunning } from './runningLock.ts';
import { type EmbeddedRuntime, startEmbedded } from './runtime.ts';
import { NoTemporalBinary } from './temporalBinary.ts';
import { WheelChanged } from './temporalWheel.ts';

const configurationErrors = [PortTaken, PortInvalid, NoTemporalBinary, WheelChanged];

const asked = Promise.withResolvers<'asked'>();
const stopping = new AbortController();

async function up(): Promise<number> {
  const stateDir = stateDirectory();
  console.log(`Starting Tenure; its state is in ${stateDir}.`);
  try {
    const runtime = await start(stateDir);
    console.log(welcome(runtime));
    const end = await Promise.race([asked.promise, runtime.broken]);
    console.log(end === 'asked' ? 'Stopping.' : coloured('red', end.message));
    await runtime.stop();
    console.log('Tenure has stopped. `npm start` goes on where it was.');
    return end === 'asked' ? exitCodes.ok.code : exitCodes.unavailable.code;
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) {
      console.log('Stopped before everything was started.');
      return exitCodes.ok.code;
    }
    console.error(error instanceof Error && isForTheUser(error) ? error.message : error);
    return exitCodeFor(error);
  }
}

function start(stateDir: string): Promise<EmbeddedRuntime> {
  return startEmbedded({
    stateDir,
    ports: portsFromEnvironment(process.env),
    signal: stopping.signal,
    onProgress: (line) => console.log(`  ${coloured('dim', new Date().toTimeString().slice(0, 8))} ${line}`),
  });
}

function welcome({ apiUrl }: EmbeddedRuntime): string {
  return [
    '',
    `${coloured('green', 'Tenure is ready.')} API ${apiUrl}/v1, its reference ${apiUrl}/docs`,
    'A token: npx tenure token requester   (security-1, responder, … ; --pipeline deploy)',
    'Ctrl-C stops everything.',
  ].join('\n');
}

function isForTheUser(error: Error): boolean {
  return error instanceof AlreadyRunning || configurationErrors.some((known) => error instanceof known);
}

function exitCodeFor(error: unknown): number {
  if (error instanceof AlreadyRunning) return exitCodes.alreadyRunning.code;
  return configurationErrors.some((known) => error instanceof known)
    ? exitCodes.configuration.code
    : exitCodes.internal.code;
}

// A closed terminal (SIGHUP) is no reason to leave processes behind. Asked twice is the same as asked once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    stopping.abort();
    asked.resolve('asked');
  });
}
process.exitCode = await up();
// What libraries leave open (a pooled connection, a keep-alive timer) must not hold the terminal.
process.exit();
