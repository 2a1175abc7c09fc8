import { setTimeout as wait } from 'node:timers/promises';
import { type InstallationPlace, installationParts } from '../../test/setup/installationParts.ts';
import { bareEffects, startBareWorker } from '../bare/worker.ts';

/**
 * A worker process whose memory is measured: `node --expose-gc workerProcess.ts tenure|bare`, with the place as its first
 * message. It answers `ready`, then its resident set size to each message `measure`, and ends when its parent leaves.
 */

const [, , kind] = process.argv;

process.once('message', (place: InstallationPlace) => {
  void start(place);
});
process.once('disconnect', () => process.exit());

async function start(place: InstallationPlace): Promise<void> {
  const parts = await installationParts(place);
  if (kind === 'bare') await startBareWorker(place, bareEffects(parts));
  else await parts.startWorker();
  process.on('message', () => {
    void settledBytes().then((bytes) => process.send?.({ bytes }));
  });
  process.send?.('ready');
}

/** What stays after collecting garbage, twice: finalizers of the first round free more. */
async function settledBytes(): Promise<number> {
  for (let time = 0; time < 2; time += 1) {
    globalThis.gc?.();
    await wait(200);
  }
  return process.memoryUsage.rss();
}
