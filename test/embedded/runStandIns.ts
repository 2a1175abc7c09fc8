// A process that runs the embedded runtime with stand-ins for worker and API until it is killed, for tests that kill it.
// Arguments: state directory, API port. Prints one JSON line when everything runs.
import { startEmbedded } from '../../embedded/runtime.ts';
import { standIns } from './standIns.ts';

const [stateDir, port] = process.argv.slice(2);
if (stateDir === undefined || port === undefined) throw new Error('runStandIns.ts wants a state directory and a port.');
const runtime = await startEmbedded({ stateDir, ports: { api: Number(port) }, processes: standIns });
const pids = ['PostgreSQL', 'Temporal', 'worker', 'API'].map((name) => runtime.service(name).pid());
console.log(JSON.stringify({ pids, token: await runtime.token('owner') }));
