#!/usr/bin/env node
// The entry of `tenure`. It is plain JavaScript that old versions of Node can run too, because what follows is not:
// Tenure is TypeScript that runs natively on Node 24. On an older Node it starts itself again on the Node 24 that npm
// installed with it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const wanted = 24;
const configurationFault = 78;

/** The Node that npm installed as an optional dependency of ours, hoisted or nested. */
function bundledNode() {
  const name = `node-linux-${process.arch}`;
  const places = [`../node_modules/${name}/bin/node`, `../../${name}/bin/node`];
  return places.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path));
}

function runOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // The child ends first and this process follows it. Ctrl-C reaches both anyhow; being told twice is harmless.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`The Node that came with Tenure could not be started: ${error.message}.`);
    process.exit(configurationFault);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code === null ? 70 : code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (Number(process.versions.node.split('.')[0]) >= wanted) {
  await import('./main.ts');
} else {
  const node = process.platform === 'linux' ? bundledNode() : undefined;
  if (node === undefined) {
    console.error(
      `Tenure needs Node ${wanted} or newer; this is ${process.version} (${process.execPath}). ` +
        'Install Node 24, or on Linux run `npm ci` without --omit=optional, which brings one along.',
    );
    process.exitCode = configurationFault;
  } else {
    runOn(node);
  }
}
