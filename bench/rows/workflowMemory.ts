import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { idFromKey } from '../../domain/ids.ts';
import type { TestInstallation } from '../../test/setup/installation.ts';
import { onboardingOrder, opened } from '../../test/setup/orders.ts';
import { bareClient } from '../bare/worker.ts';
import { rounded } from '../finding.ts';
import type { Ground } from '../ground.ts';
import { benchInstallation } from '../installation.ts';
import { compared, inTurns, type Pair, perSecond } from '../rounds.ts';
import type { Row } from '../row.ts';

type Kind = 'tenure' | 'bare';

/** How much a worker's resident set grows with each workflow that waits in its cache, each time in a process of its own. */
export const workflowMemory: Row = {
  name: 'workflow-memory',
  dependsOnServer: false,
  async run(ground, size) {
    // Fewer than a worker keeps cached (500). The first ones pay for threads and code, and are not counted.
    const { count, first, counted } =
      size === 'full' ? { count: 3, first: 40, counted: 300 } : { count: 1, first: 2, counted: 4 };
    const measure = (kind: Kind) => async () => ({ bytes: await bytesPerWorkflow(ground, kind, { first, counted }) });
    const pairs: Pair<'bytes'>[] = [];
    for (let index = 0; index < count; index += 1) {
      ground.say(`memory per cached workflow: round ${index + 1} of ${count}`);
      pairs.push(await inTurns(index, measure('tenure'), measure('bare')));
    }
    const { ratio, spread, subject, baseline } = compared(pairs, 'bytes');
    return [
      {
        what: "a worker's memory per cached workflow",
        value: ratio,
        unit: '×',
        subject: `${rounded(subject / 1024)} KiB`,
        baseline: `bare workflow: ${rounded(baseline / 1024)} KiB`,
        spread,
      },
    ];
  },
};

async function bytesPerWorkflow(
  ground: Ground,
  kind: Kind,
  { first, counted }: { first: number; counted: number },
): Promise<number> {
  const installation = await benchInstallation(ground);
  const bare = await bareClient(installation.place);
  const worker = fork(fileURLToPath(new URL('../memory/workerProcess.ts', import.meta.url)), [kind], {
    execArgv: ['--expose-gc'],
  });
  try {
    worker.send(installation.place);
    await answerOf(worker);
    const park = kind === 'bare' ? () => parkBare(bare) : () => parkTenure(installation);
    await perSecond({ times: first, lanes: 4 }, park);
    const before = await residentBytes(worker);
    await perSecond({ times: counted, lanes: 4 }, park);
    return ((await residentBytes(worker)) - before) / counted;
  } finally {
    if (worker.exitCode === null) {
      worker.disconnect();
      await once(worker, 'exit');
    }
    await bare.close();
    await installation.close();
  }
}

async function residentBytes(worker: ChildProcess): Promise<number> {
  worker.send('measure');
  const answer = await answerOf(worker);
  if (typeof answer !== 'object' || answer === null || !('bytes' in answer) || typeof answer.bytes !== 'number')
    throw new Error(`The worker process answered ${JSON.stringify(answer)} instead of its size.`);
  return answer.bytes;
}

/** @throws Error when the process ends instead */
async function answerOf(worker: ChildProcess): Promise<unknown> {
  const answered = Promise.withResolvers<unknown>();
  const onMessage = (message: unknown) => answered.resolve(message);
  const onExit = (code: number | null) =>
    answered.reject(new Error(`The worker process ended with ${code}. Its own words are above.`));
  worker.once('message', onMessage).once('exit', onExit);
  try {
    return await answered.promise;
  } finally {
    worker.off('message', onMessage).off('exit', onExit);
  }
}

/** Waits for its approvals. */
function parkTenure(installation: TestInstallation): Promise<unknown> {
  return opened(installation, onboardingOrder({ environment: 'production' }));
}

function parkBare(bare: Awaited<ReturnType<typeof bareClient>>): Promise<unknown> {
  return bare.open({ identityId: idFromKey('identity', { principal: 'bench', key: randomUUID() }), approvals: 2 });
}
