import type { Configuration, IssuerConfiguration, StoreConfiguration } from '../configuration/configurationSchema.ts';
import { readSecret } from '../configuration/secretReference.ts';
import type { Ledger } from '../ledger/client.ts';
import type { Issuer } from './issuers/issuer.ts';
import { createPostgresRoleIssuer } from './issuers/postgresRole.ts';
import { createSealedStore } from './stores/sealed.ts';
import { loadSealedKeys } from './stores/sealedKeys.ts';
import type { Store } from './stores/store.ts';
import { createVaultStore } from './stores/vault.ts';

export interface Adapters {
  /** @throws AdapterUnknown when tenure.yaml declares no such issuer */
  issuer(name: string): Issuer;
  /** @throws AdapterUnknown when tenure.yaml declares no such store */
  store(name: string): Store;
  /** Closes all of them. @throws AggregateError of those that could not be closed in order, after all were tried */
  close(): Promise<void>;
}

type Closable<T> = T & { close?(): Promise<void> };

/**
 * The issuers and stores that tenure.yaml declares. Their secrets are read now; nothing is connected before it is used.
 * @throws SecretUnreadable, SealedKeyUnusable naming what tenure.yaml points to
 */
export function createAdapters({
  configuration,
  prisma,
  installationId,
}: { configuration: Configuration; installationId: string } & Pick<Ledger, 'prisma'>): Adapters {
  const issuers = new Map(
    Object.entries(configuration.issuers).map(([name, declared]) => [
      name,
      createIssuer(name, declared, installationId),
    ]),
  );
  const stores = new Map(
    Object.entries(configuration.stores).map(([name, declared]) => [name, createStore(name, declared, prisma)]),
  );
  return {
    issuer: (name) => found(issuers, 'issuer', name),
    store: (name) => found(stores, 'store', name),
    async close() {
      const closing = [...issuers.values(), ...stores.values()].map((adapter) => adapter.close?.());
      const failures = (await Promise.allSettled(closing)).flatMap((each) =>
        each.status === 'rejected' ? [each.reason] : [],
      );
      if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
    },
  };
}

function createIssuer(name: string, declared: IssuerConfiguration, installationId: string): Closable<Issuer> {
  const { url, scopes, reassignTo } = declared;
  return createPostgresRoleIssuer(name, {
    url: readSecret(url, process.env),
    scopes,
    installationId,
    ...(reassignTo === undefined ? {} : { reassignTo }),
  });
}

function createStore(name: string, declared: StoreConfiguration, prisma: Ledger['prisma']): Closable<Store> {
  if (declared.type === 'sealed')
    return createSealedStore(name, { keys: loadSealedKeys(declared, process.env), prisma });
  const { approle, address, mount, prefix, namespace, caFile } = declared;
  return createVaultStore(name, {
    address,
    mount,
    prefix,
    approle: {
      mount: approle.mount,
      roleId: approle.roleId,
      secretId: () => readSecret(approle.secretId, process.env),
    },
    ...(namespace === undefined ? {} : { namespace }),
    ...(caFile === undefined ? {} : { ca: readSecret({ file: caFile }, process.env) }),
  });
}

function found<T>(adapters: ReadonlyMap<string, T>, kind: 'issuer' | 'store', name: string): T {
  const adapter = adapters.get(name);
  if (adapter === undefined) throw new AdapterUnknown(kind, name);
  return adapter;
}

/** An identity names an issuer or store that tenure.yaml no longer declares. */
export class AdapterUnknown extends Error {
  override readonly name = 'AdapterUnknown';
  constructor(kind: 'issuer' | 'store', name: string) {
    super(
      `tenure.yaml declares no ${kind} "${name}", but an identity uses it. Declare it again; an identity never changes its ${kind}.`,
    );
  }
}
