import { stringify } from 'yaml';
import { roleNames } from '../configuration/configurationSchema.ts';
import { applicationScopes } from './databases.ts';
import { audiences } from './localGrant.ts';
import { embeddedPeople, embeddedPipelines } from './people.ts';
import type { StateLayout } from './stateLayout.ts';

/** The tenure.yaml that worker and API of the embedded runtime read. It names secrets by file and holds none. */
export function generatedConfiguration({
  state,
  apiPort,
  temporal,
  issuer,
  leaseSeconds,
}: {
  state: StateLayout;
  apiPort: number;
  temporal: { address: string; namespace: string };
  /** The sign-in's address. */
  issuer: string;
  leaseSeconds: number;
}): string {
  const configuration = {
    listen: `127.0.0.1:${apiPort}`,
    publicUrl: `http://127.0.0.1:${apiPort}`,
    database: { file: state.ledgerUrl },
    temporal: { address: temporal.address, namespace: temporal.namespace },
    // One worker, replaced by the next start: of the same release or of another, newer or older.
    deployment: { madeCurrentBy: 'worker' },
    keys: { directory: state.keys },
    leaseSeconds,
    oidc: [
      {
        ...{ name: 'people', issuer, audience: audiences.people, for: 'people', groupsClaim: 'groups' },
        subjectAudience: audiences.forAgents,
      },
      { name: 'pipelines', issuer, audience: audiences.pipelines, for: 'pipelines' },
    ],
    people: embeddedPeople.map(({ email, name, groups }) => ({ id: email, name, groups: [...groups] })),
    roles: Object.fromEntries(roleNames.map((role) => [role, [`group:${role}`]])),
    pipelines: Object.fromEntries(
      embeddedPipelines.map(({ name, claims, may }) => [
        name,
        { oidc: 'pipelines', claims, personClaim: 'triggered_by', may: [may] },
      ]),
    ),
    tools: { search: { audience: 'https://search.example.com', actions: ['read', 'write'] } },
    issuers: {
      'main-db': { type: 'postgres-role', url: { file: state.issuerUrl }, scopes: applicationScopes },
      keys: {
        type: 'tenure-key',
        hashKey: { file: state.apiKeyHashKey },
        scopes: Object.keys(applicationScopes),
      },
      signing: { type: 'signing-key' },
      agents: { type: 'agent-key' },
    },
    grants: { signer: { name: 'grant-signer', environment: 'production' } },
    stores: { sealed: { type: 'sealed', keyFile: state.sealedStoreKey } },
  };
  return `# Made by \`tenure up\` at every start: changes here are lost.\n${stringify(configuration)}`;
}
