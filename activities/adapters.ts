import type { Configuration, IssuerConfiguration, StoreConfiguration } from '../configuration/configurationSchema.ts';
import { readHashKey } from '../configuration/hashKey.ts';
import { offeredScopes } from '../configuration/offeredScopes.ts';
import { readSecret } from '../configuration/secretReference.ts';
import type { Ledger } from '../ledger/client.ts';
import { createAgentKeyIssuer } from './issuers/agentKey.ts';
import type { Issuer } from './issuers/issuer.ts';
import { createPostgresRoleIssuer } from './issuers/postgresRole.ts';
import { namesOfHandle } from './issuers/postgresRoleNames.ts';
import { createSigningKeyIssuer } from './issuers/signingKey.ts';
import { createTenureKeyIssuer } from './issuers/tenureKey.ts';
import { createSealedStore } from './stores/sealed.ts';
import { loadSealedKeys } from './stores/sealedKeys.ts';
import type { Store } from './stores/store.ts';
import { createVaultStore } from './stores/vault.ts';

export interface Adapters<T> {
  /** @throws AdapterUnknown when tenure.yaml declares none of this name */
  named(name: string): T;
  /** Closes all of them. @throws AggregateError of those that could not be closed in order, after all were tried */
  close(): Promise<void>;
}

type Closable<T> = T & { close?(): Promise<void> };

/**
 * The issuers that tenure.yaml declares. Their secrets are read now, by the worker alone; nothing is connected before it
 * is used. @throws SecretUnreadable naming what tenure.yaml points to
 */
export function createIssuers({
  configuration,
  installationId,
  prisma,
}: { configuration: Configuration; installationId: string } & Pick<Ledger, 'prisma'>): Adapters<Issuer> {
  const declared = Object.entries(configuration.issuers);
  const place = { installationId, prisma, tools: configuration.tools };
  return adapters('issuer', new Map(declared.map(([name, each]) => [name, createIssuer(name, each, place)])));
}

/** The stores that tenure.yaml declares. @throws SecretUnreadable, SealedKeyUnusable naming what tenure.yaml points to */
export function createStores({
  configuration,
  prisma,
}: { configuration: Configuration } & Pick<Ledger, 'prisma'>): Adapters<Store> {
  const declared = Object.entries(configuration.stores);
  return adapters('store', new Map(declared.map(([name, each]) => [name, createStore(name, each, prisma)])));
}

/** The name a consumer logs in with, where the secret alone is not enough (a database role). Needs no login of ours. */
export function loginNameOf({ issuers }: Configuration, issuer: string, handle: string): string | undefined {
  const declared = issuers[issuer];
  return declared === undefined ? undefined : loginNames[declared.type](handle);
}

const loginNames: Record<IssuerConfiguration['type'], (handle: string) => string | undefined> = {
  'postgres-role': (handle) => namesOfHandle(handle)?.login,
  'tenure-key': () => undefined,
  'signing-key': () => undefined,
  'agent-key': () => undefined,
};

function adapters<T>(kind: 'issuer' | 'store', all: ReadonlyMap<string, Closable<T>>): Adapters<T> {
  return {
    named(name) {
      const adapter = all.get(name);
      if (adapter === undefined) throw new AdapterUnknown(kind, name);
      return adapter;
    },
    async close() {
      const closed = await Promise.allSettled([...all.values()].map((adapter) => adapter.close?.()));
      const failures = closed.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
      if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
    },
  };
}

function createIssuer(
  name: string,
  declared: IssuerConfiguration,
  { installationId, prisma, tools }: { installationId: string } & Pick<Ledger, 'prisma'> & Pick<Configuration, 'tools'>,
): Closable<Issuer> {
  if (declared.type === 'agent-key')
    return createAgentKeyIssuer(name, { prisma, installationId, scopes: offeredScopes(declared, tools) });
  if (declared.type === 'tenure-key') {
    const { scopes, prefix, hashKey } = declared;
    return createTenureKeyIssuer(name, {
      prisma,
      installationId,
      hashKey: readHashKey(name, hashKey, process.env),
      prefix,
      scopes,
    });
  }
  if (declared.type === 'signing-key') {
    const { algorithm } = declared;
    return createSigningKeyIssuer(name, { prisma, installationId, algorithm });
  }
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

/** An identity names an issuer or store that tenure.yaml no longer declares. */
export class AdapterUnknown extends Error {
  override readonly name = 'AdapterUnknown';
  constructor(kind: 'issuer' | 'store', name: string) {
    super(
      `tenure.yaml declares no ${kind} "${name}", but an identity uses it. Declare it again; an identity never changes its ${kind}.`,
    );
  }
}
