import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';

/** The part of the platform's WebAssembly that is used here; TypeScript declares it for browsers only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: { readonly __wbindgen_start: () => void } };
};

/**
 * Prisma's own schema engine as WebAssembly: it applies migrations and writes `_prisma_migrations` exactly as
 * `prisma migrate deploy` does, with no binary to download (docs/decisions/0003-prisma-without-binaries.md).
 */
const wasmPath = fileURLToPath(import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg')).replace(
  /\.js$/,
  '.wasm',
);
const schemaPath = fileURLToPath(new URL('../prisma/schema.prisma', import.meta.url));
const migrationsPath = fileURLToPath(new URL('../prisma/migrations', import.meta.url));

const noFilters = { externalTables: [], externalEnums: [] };

function loadEngine(): void {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasmPath)), {
    './schema_engine_bg.js': { ...engine, ...timersThatKeepNothingAlive() },
  });
  engine.__wbg_set_wasm(instance.exports);
  // Fills the table of undefined, null, true and false; without it the engine reads one for another.
  instance.exports.__wbindgen_start();
}

/** The engine leaves the timer of its ten seconds' patience for the migration lock running after it has the lock. */
function timersThatKeepNothingAlive(): Record<string, unknown> {
  const timers = Object.keys(engine).filter((name) => name.startsWith('__wbg_setTimeout_'));
  const unreferenced = (callback: () => void, delayMs: number) => setTimeout(callback, delayMs >>> 0).unref();
  return Object.fromEntries(timers.map((name) => [name, unreferenced]));
}

/**
 * PrismaPg 7.10 splits a script at every semicolon, also inside comments and function bodies. PostgreSQL parses scripts
 * better, and runs one sent whole as one transaction: a migration that fails leaves nothing behind.
 */
class WholeScripts extends PrismaPg {
  /** What PostgreSQL said to the script that failed; the engine tells of it as an external error only. */
  refusal: unknown;
  readonly #connections: Awaited<ReturnType<PrismaPg['connect']>>[] = [];

  override async connect(): Promise<Awaited<ReturnType<PrismaPg['connect']>>> {
    const connection = await super.connect();
    connection.executeScript = async (script) => {
      try {
        await connection.underlyingDriver().query(script);
      } catch (error) {
        this.refusal = error;
        throw error;
      }
    };
    this.#connections.push(connection);
    return connection;
  }

  /** The engine leaves its session open, and with it the migration lock: the next process would wait ten seconds for it. */
  async close(): Promise<void> {
    for (const connection of this.#connections.splice(0)) await connection.dispose();
  }
}

let isLoaded = false;

/** Lets `work` use the engine, and leaves no connection behind, however it ends. */
async function withEngine<T>(databaseUrl: string, work: (schemaEngine: engine.SchemaEngine) => Promise<T>): Promise<T> {
  if (!isLoaded) {
    loadEngine();
    isLoaded = true;
  }
  const connections = new WholeScripts({ connectionString: databaseUrl }, { schema: 'public' });
  try {
    const adapter = bindMigrationAwareSqlAdapterFactory(connections);
    const datamodels: [string, string][] = [[schemaPath, readFileSync(schemaPath, 'utf8')]];
    const schemaEngine = await engine.SchemaEngine.new({ datamodels }, () => {}, adapter);
    try {
      return await work(schemaEngine);
    } finally {
      schemaEngine.free();
    }
  } catch (error) {
    throw connections.refusal instanceof Error ? new MigrationRefused(connections.refusal, { cause: error }) : error;
  } finally {
    await connections.close();
  }
}

/** PostgreSQL refused a migration, and nothing of it was applied. Not retryable: the next start finds it unfinished. */
export class MigrationRefused extends Error {
  override readonly name = 'MigrationRefused';
  constructor(refusal: Error, options: ErrorOptions) {
    super(
      `PostgreSQL refused a migration: ${refusal.message}. Nothing of it was applied. Correct the cause, delete its row without finished_at from _prisma_migrations, then start again.`,
      options,
    );
  }
}

function migrationsList(): engine.MigrationList {
  const names = existsSync(migrationsPath)
    ? readdirSync(migrationsPath, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort()
    : [];
  return {
    baseDir: migrationsPath,
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"' },
    shadowDbInitScript: '',
    migrationDirectories: names.map((path) => ({
      path,
      migrationFile: {
        path: 'migration.sql',
        content: { tag: 'ok', value: readFileSync(`${migrationsPath}/${path}/migration.sql`, 'utf8') },
      },
    })),
  };
}

/**
 * Applies every migration that the database does not have yet. Idempotent.
 * @returns the names that were applied now
 * @throws MigrationRefused when one fails; then the engine's error at each start, until somebody has looked
 */
export async function runMigrations(databaseUrl: string): Promise<readonly string[]> {
  return withEngine(databaseUrl, async (schemaEngine) => {
    const { appliedMigrationNames } = await schemaEngine.applyMigrations({
      migrationsList: migrationsList(),
      filters: noFilters,
    });
    return appliedMigrationNames;
  });
}

/** The SQL that turns an older schema (undefined: an empty database) into prisma/schema.prisma, for a new migration. */
export async function draftMigration(databaseUrl: string, olderSchema: string | undefined): Promise<string> {
  return withEngine(databaseUrl, async (schemaEngine) => {
    const files = [{ path: schemaPath, content: readFileSync(schemaPath, 'utf8') }];
    const { stdout } = await schemaEngine.diff({
      from:
        olderSchema === undefined
          ? { tag: 'empty' }
          : { tag: 'schemaDatamodel', files: [{ path: 'older.prisma', content: olderSchema }] },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: false,
      filters: noFilters,
    });
    return stdout ?? '';
  });
}
