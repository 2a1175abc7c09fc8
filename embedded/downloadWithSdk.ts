// Run as a process of its own by temporalBinary.ts: makes the Temporal SDK download its development server into the
// directory given, which it does by starting it once.
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { temporalVersion } from './temporalWheel.ts';

const directory = process.argv[2];
if (directory === undefined) throw new Error('downloadWithSdk.ts wants the directory to download into.');
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir: directory, version: `v${temporalVersion}` } },
});
await environment.teardown();
