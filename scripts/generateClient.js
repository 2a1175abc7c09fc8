// Generates the Prisma client without the native engine download, which a closed network refuses: generation itself is
// WebAssembly, and Prisma skips the download when this variable names an existing file.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const result = spawnSync(
  process.execPath,
  [
    fileURLToPath(new URL('../node_modules/prisma/build/index.js', import.meta.url)),
    'generate',
    '--schema',
    'prisma/schema.prisma',
  ],
  {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    },
    encoding: 'utf8',
  },
);
if (result.status !== 0) {
  console.error(
    `${result.stdout}${result.stderr}\nThe ledger's client could not be generated from prisma/schema.prisma.`,
  );
  process.exit(1);
}
