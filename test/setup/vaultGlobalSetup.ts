import type { TestProject } from 'vitest/node';
import { startVault, type VaultServer } from './vault.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The run's Vault: tests share it and use identities of their own. */
    vault: VaultServer;
  }
}

/** Starts one Vault for the whole run of the servers project, and stops it after it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { vault, stop } = await startVault((text) => console.log(text));
  project.provide('vault', vault);
  return stop;
}
