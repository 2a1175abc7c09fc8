import { defineConfig } from 'vitest/config';

const shared = { testTimeout: 60_000, hookTimeout: 60_000, pool: 'forks' } as const;
const needServers = 'test/**/*.servers.test.ts';

export default defineConfig({
  test: {
    // Once per run, for all projects: one PostgreSQL, one Temporal.
    globalSetup: ['test/setup/globalSetup.ts'],
    maxWorkers: 2,
    experimental: { viteModuleRunner: false },
    projects: [
      { test: { ...shared, name: 'unit', include: ['test/**/*.test.ts'], exclude: [needServers] } },
      { test: { ...shared, name: 'servers', include: [needServers], globalSetup: ['test/setup/vaultGlobalSetup.ts'] } },
    ],
  },
});
