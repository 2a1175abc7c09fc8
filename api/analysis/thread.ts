import { parentPort } from 'node:worker_threads';
import { type Analyses, carryOut } from './analyses.ts';

/** The thread behind `analyst.ts`: one job at a time, in the order in which they come. It has no access to anything else. */

interface Job {
  readonly analysis: keyof Analyses;
  readonly asked: Analyses[keyof Analyses]['asked'];
}

parentPort?.on('message', ({ analysis, asked }: Job) => parentPort?.postMessage(carryOut(analysis, asked)));
