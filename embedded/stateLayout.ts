import { join } from 'node:path';
import { privateDirectory } from './privateFiles.ts';
import { admitDatabaseUser } from './unprivilegedUser.ts';

/** What is where below the state directory. All of it is for its owner only. */
export interface StateLayout {
  readonly directory: string;
  /** Who is running on this state, if anybody. */
  readonly lock: string;
  /** Ports chosen at the first start. */
  readonly ports: string;
  /** Server processes of the running or the last start, for clearing up after a crash. */
  readonly processes: string;
  /** Generated at every start; worker and API read it. */
  readonly configuration: string;
  readonly postgres: string;
  readonly temporalDatabase: string;
  /** Everything that one process says, appended. */
  logFile(process: string): string;
  /** The installation's keys (configuration/keys.ts). */
  readonly keys: string;
  readonly sealedStoreKey: string;
  readonly apiKeyHashKey: string;
  /** URLs with passwords, one a file. */
  readonly ledgerUrl: string;
  readonly issuerUrl: string;
}

/** Makes the state directory if it is absent and closes it to others (0700; under root, PostgreSQL's account may pass). */
export function openState(directory: string): StateLayout {
  privateDirectory(directory);
  admitDatabaseUser(directory);
  const below = (...parts: string[]) => join(directory, ...parts);
  for (const name of ['logs', 'temporal', 'databases']) privateDirectory(below(name));
  return {
    directory,
    lock: below('running.json'),
    ports: below('ports.json'),
    processes: below('processes.json'),
    configuration: below('tenure.yaml'),
    postgres: below('postgres'),
    temporalDatabase: below('temporal', 'temporal.db'),
    logFile: (process) => below('logs', `${process.toLowerCase()}.log`),
    keys: below('keys'),
    sealedStoreKey: below('sealed-store.key'),
    apiKeyHashKey: below('api-key-hash.key'),
    ledgerUrl: below('databases', 'ledger-url'),
    issuerUrl: below('databases', 'issuer-url'),
  };
}
