import { defineConfig } from 'vitest/config';

/** Of `npm run replay:record` only: recording is no test, and the run of the tests never does it. */
export default defineConfig({
  test: {
    include: ['test/replay/record.ts'],
    globalSetup: ['test/setup/globalSetup.ts'],
    pool: 'forks',
    testTimeout: 600_000,
    experimental: { viteModuleRunner: false },
  },
});
