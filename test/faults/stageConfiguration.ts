import { join } from 'node:path';
import { stringify } from 'yaml';
import { roleNames } from '../../configuration/configurationSchema.ts';
import { applicationScopes } from '../../embedded/databases.ts';
import { audiences } from '../../embedded/localGrant.ts';
import { embeddedPeople, embeddedPipelines } from '../../embedded/people.ts';
import { writePrivateFile } from '../../embedded/privateFiles.ts';
import { temporalNamespace } from '../../embedded/temporal.ts';
import type { VaultServer } from '../setup/vault.ts';
import { integrations, revokedIntegration } from './plan.ts';
import { ledgerUrl, type Servers } from './servers.ts';

/** The least that tenure.yaml allows. */
export const leaseSeconds = 10;

/** So slow that faults and pauses find a mass revocation under way. */
const revocations = { concurrency: 2, perSecond: 2 };

/** The identity whose credential signs grants; onboarded before anything breaks. */
export const signerName = 'grant-signer';

/** What is the seed's own. */
export interface Own {
  readonly directory: string;
  readonly vault: VaultServer;
}

/** The tenure.yaml of one process: everything it reaches, it reaches through its own links. */
export function configurationOf(
  { directory, vault }: Own,
  {
    servers,
    apiPort,
    database,
    portOf,
    name,
  }: {
    servers: Servers;
    apiPort: number;
    database: string;
    portOf: (target: 'ledger' | 'temporal' | 'issuer' | 'vault') => number;
    name: 'worker' | 'api';
  },
): string {
  const secret = (file: string, value: string) => {
    const path = join(directory, `${name}-${file}`);
    writePrivateFile(path, value);
    return { file: path };
  };
  const issuerUrl = new URL(servers.issuer.adminUrl);
  // The API never calls an issuer; it has the address because its configuration is the worker's.
  issuerUrl.port = String(portOf('issuer'));
  const { issuer } = servers.signIn;
  return stringify({
    listen: `127.0.0.1:${apiPort}`,
    publicUrl: `http://127.0.0.1:${apiPort}`,
    database: secret('ledger-url', ledgerUrl(portOf('ledger'), database)),
    temporal: { address: `127.0.0.1:${portOf('temporal')}`, namespace: temporalNamespace },
    keys: { directory: join(directory, 'keys') },
    leaseSeconds,
    oidc: [
      {
        name: 'people',
        issuer,
        audience: audiences.people,
        for: 'people',
        groupsClaim: 'groups',
        subjectAudience: audiences.forAgents,
      },
      { name: 'pipelines', issuer, audience: audiences.pipelines, for: 'pipelines' },
    ],
    people: embeddedPeople.map(({ email, name: called, groups }) => ({ id: email, name: called, groups: [...groups] })),
    roles: Object.fromEntries(roleNames.map((role) => [role, [`group:${role}`]])),
    pipelines: Object.fromEntries(
      embeddedPipelines.map(({ name: called, claims }) => [
        called,
        {
          oidc: 'pipelines',
          claims,
          may: [
            ...[...integrations, revokedIntegration].map((each) => ({ rotate: `${each}/*` })),
            { introspect: 'search' },
          ],
        },
      ]),
    ),
    tools: { search: { audience: 'https://search.example', actions: ['read', 'write'] } },
    grants: { signer: { name: signerName, environment: 'staging' } },
    issuers: {
      agents: { type: 'agent-key', revocations },
      signing: { type: 'signing-key' },
      'main-db': {
        type: 'postgres-role',
        url: secret('issuer-url', issuerUrl.href),
        scopes: applicationScopes,
        revocations,
      },
    },
    stores: {
      sealed: { type: 'sealed', keyFile: join(directory, 'sealed-store.key') },
      vault: {
        type: 'vault',
        address: `http://127.0.0.1:${portOf('vault')}`,
        mount: vault.mount,
        prefix: vault.prefix,
        approle: {
          mount: vault.approle.mount,
          roleId: vault.approle.roleId,
          secretId: secret('vault-secret-id', vault.approle.secretId),
        },
      },
    },
  });
}
