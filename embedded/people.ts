/** The people and pipelines of the embedded sign-in: enough to play every role, and nobody real (RFC 2606 domain). */

export const embeddedDomain = 'tenure.example';

export interface EmbeddedPerson {
  /** The part of the e-mail address before @; what `tenure token` takes. */
  readonly name: string;
  readonly email: string;
  readonly groups: readonly string[];
}

const groupsByName: Readonly<Record<string, readonly string[]>> = {
  owner: ['owner'],
  requester: ['requester'],
  'security-1': ['security'],
  'security-2': ['security'],
  'security-lead': ['security', 'security-lead'],
  responder: ['responder'],
  'responder-2': ['responder'],
  'flow-author': ['flow-author'],
  'flow-publisher': ['flow-publisher'],
  auditor: ['auditor'],
  admin: ['admin'],
};

export const embeddedPeople: readonly EmbeddedPerson[] = Object.entries(groupsByName).map(([name, groups]) => ({
  name,
  email: `${name}@${embeddedDomain}`,
  groups,
}));

export interface EmbeddedPipeline {
  readonly name: string;
  /** What its tokens claim; the generated tenure.yaml pins every one of them. */
  readonly claims: Readonly<Record<string, string>>;
  readonly may: Readonly<Record<string, string>>;
}

/** A CI system's, and the resource server of the tool `search`. */
export const embeddedPipelines: readonly EmbeddedPipeline[] = [
  {
    name: 'deploy',
    claims: { repository_id: '1', environment: 'production' },
    may: { rotate: 'payments/*', verifyKeys: 'payments/*' },
  },
  { name: 'search-server', claims: { repository_id: '2', environment: 'production' }, may: { introspect: 'search' } },
];

/** Finds a person by name or e-mail address. */
export function findPerson(nameOrEmail: string): EmbeddedPerson | undefined {
  return embeddedPeople.find(({ name, email }) => name === nameOrEmail || email === nameOrEmail);
}
