import { isIP } from 'node:net';
import { z } from 'zod';
import { apiKeyPrefixPattern } from '../domain/apiKey.ts';
import { duration } from '../domain/flow/schema.ts';
import { groupReferenceForm, groupReferencePattern, isGroupName, isGroupReference } from '../domain/groupReference.ts';
import { defaultPace } from '../domain/massRevocation.ts';
import { recoveryKeyOf } from './recoveryKeys.ts';

/**
 * What `tenure.yaml` may say. Strict: an unknown key is an error, never ignored, since a misspelt `separation` or `roles`
 * must not silently mean "the default". `schema.json` beside this file is generated from here (`node configuration/writeSchema.ts`).
 */

const word = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use 1 to 63 lower-case letters, digits and hyphens');
const path = z.string().min(1).max(4096);
const email = z.email().max(200).toLowerCase();

const environmentReference = z.strictObject({
  env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'not the name of an environment variable'),
});
const fileReference = z.strictObject({ file: path });

/** A secret is named, never written: the configuration is read by more people than may know it. */
const secret = z
  .union([environmentReference, fileReference], {
    error: 'a secret is {env: NAME} or {file: PATH}, never written here',
  })
  .meta({
    id: 'Secret',
    description:
      'Where a secret is: an environment variable or a file. Read when it is needed, by the process that needs it.',
  });

const databaseUrlForms = 'write {env: NAME}, {file: PATH}, or postgresql://user@host/database without a password';

/** A PostgreSQL address may be written plainly as long as it holds no password. */
const databaseUrl = z
  .union([environmentReference, fileReference, z.string().refine(isPasswordlessPostgresUrl, databaseUrlForms)], {
    error: databaseUrlForms,
  })
  .meta({
    id: 'DatabaseUrl',
    description: 'A PostgreSQL address. One that holds a password is given as {env: NAME} or {file: PATH}.',
  });

function isPasswordlessPostgresUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (
    ['postgres:', 'postgresql:'].includes(url.protocol) && url.password === '' && !url.searchParams.has('password')
  );
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** Plain HTTP is for the loopback only: anything else would let the network answer in the server's name. */
const serverUrl = z.url().refine(isHttpsOrLoopback, 'use https; plain http is accepted on the loopback only');

function isHttpsOrLoopback(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopbackHosts.includes(url.hostname));
}

/** A network as wide as everything would let every caller say where it is. */
const proxyAddress = z
  .string()
  .refine(
    isProxyAddress,
    'write an IP address or a network, for example 10.0.0.5 or 10.0.0.0/24; one that holds everything is none',
  );

function isProxyAddress(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  if (prefix === undefined) return true;
  return /^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

const listenPattern = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;
const listen = z
  .string()
  .refine(
    (text) => Number(listenPattern.exec(text)?.[2] ?? Number.NaN) <= 65_535,
    'write host:port, for example 127.0.0.1:8080',
  )
  .transform((text) => {
    const [, host = '', port = ''] = listenPattern.exec(text) ?? [];
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  });

/** One port per process: both may run on one machine. */
const metrics = z.strictObject({ api: listen.optional(), worker: listen.optional() }).meta({
  description:
    'Where each process serves Prometheus metrics, without sign-in: the loopback, or an address that only Prometheus reaches. Left out: not served.',
});

const temporal = z.strictObject({
  address: z.string().regex(/^\S+:\d{1,5}$/, 'write host:port, for example 127.0.0.1:7233'),
  namespace: z.string().min(1).default('default'),
  tls: z
    .strictObject({
      serverName: z.string().min(1).optional(),
      caFile: path.optional(),
      certificateFile: path.optional(),
      keyFile: path.optional(),
    })
    .refine(
      (tls) => (tls.certificateFile === undefined) === (tls.keyFile === undefined),
      'certificateFile and keyFile go together',
    )
    .optional(),
  apiKey: secret.optional(),
});

/** Who routes work between releases: docs/operating.md, "Upgrade". */
const deployment = z.strictObject({
  name: word.default('tenure').meta({ description: "The Worker Deployment's name: one for each namespace." }),
  madeCurrentBy: z.enum(['operator', 'worker']).default('operator').meta({
    description:
      'Who moves work to another release: an operator (`tenure deployment make-current`), or each worker at its start, for an installation whose workers are replaced all at once.',
  }),
});

/** As `claimPath.ts` finds it. */
const claimName = z.string().min(1).max(200);
const byPath = 'A path finds it inside others: `realm_access.roles`; a claim with that very name goes first.';

const groupName = z.string().refine(isGroupName, 'not a name by which a role or a flow could name a group');
const domainPattern = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

const oidcProvider = z.strictObject({
  name: word,
  issuer: serverUrl,
  audience: z.string().min(1),
  for: z.enum(['people', 'pipelines', 'agents']),
  groupsClaim: claimName
    .default('groups')
    .meta({ description: `The claim that lists the groups of a person, or names the one. ${byPath}` }),
  groupNames: z.record(z.string().min(1).max(200), groupName).default({}).meta({
    description:
      'What Tenure calls groups that the provider calls otherwise: `{/security: security}`. Groups that are not listed keep their names.',
  }),
  addressClaim: claimName.default('email').meta({
    description: `The claim that holds the e-mail address of a person: \`preferred_username\`, \`upn\`. ${byPath} \`email_verified\` speaks of \`email\` only.`,
  }),
  nameClaim: claimName.optional().meta({
    description: `The claim that holds the name of a person; \`name\` unless said. ${byPath} One that is malformed counts as none.`,
  }),
  groups: z
    .strictObject({ allow: z.array(z.string().min(1).max(200)).max(1000) })
    .optional()
    .meta({
      description:
        'With `for: people`: `{allow: [staff, on-call]}` are all groups that this provider may put anybody into, and so all roles that it may give. Left out: every group.',
    }),
  groupsMaxAge: duration().default('P7D').meta({
    description:
      'How long the groups of a person count after a token said them last (`iat`), and with them the decisions that were given by them. Longer than a request may wait for people, or decisions lapse while it waits.',
  }),
  absentGroups: z.enum(['unknown', 'empty']).default('unknown').meta({
    description:
      'What a token without the groups claim says: nothing (it gives its call no group, and those of before count on), or, of a provider that leaves an empty claim out, that the person is in none.',
  }),
  domains: z
    .array(z.string().regex(domainPattern, 'write a domain in lower-case letters, as example.com').max(253))
    .min(1)
    .max(100)
    .optional()
    .meta({
      description:
        'With `for: people`: the domains of the addresses by which this provider may sign somebody in for the first time. Expected as soon as several providers are for people.',
    }),
  trustsEmail: z.boolean().default(false).meta({
    description:
      'With `for: people`: addresses in its tokens are verified although they do not say `email_verified`. Only where nobody can choose their own address at the provider.',
  }),
  subjectAudience: z.string().min(1).optional().meta({
    description:
      'With `for: people`: the audience of tokens that a person gives to an agent, to show for whom it acts. It differs from every `audience`, so that such a token signs nobody in. Left out: no token of this provider shows it.',
  }),
});

const person = z.strictObject({
  id: email,
  name: z.string().min(1).max(200),
  groups: z.array(groupName).max(200).default([]),
  active: z.boolean().default(true),
});

const roleMember = z
  .union([z.string().refine(isGroupReference).meta({ pattern: groupReferencePattern }), email], {
    error: `${groupReferenceForm}, or an e-mail address`,
  })
  .meta({ description: '`group:<name>`, `group:"<Any Name>"`, or an e-mail address.' });
const roleMembers = z.array(roleMember).max(1000);

export const roleNames = ['requester', 'responder', 'flow-author', 'flow-publisher', 'auditor', 'admin'] as const;
export type Role = (typeof roleNames)[number];

const roles = z.strictObject({
  requester: roleMembers.optional().meta({
    description:
      'Who may ask for identities and rotations. Left out: every active person, since asking decides nothing.',
  }),
  responder: roleMembers.default([]),
  'flow-author': roleMembers.default([]),
  'flow-publisher': roleMembers.default([]),
  auditor: roleMembers.default([]),
  admin: roleMembers.default([]),
});

const identityPattern = z
  .string()
  .regex(/^[^/]+\/.+$/, 'write <integration>/<name>; * stands for any characters within one segment')
  .max(400);

const pipeline = z.strictObject({
  oidc: word.meta({ description: 'The provider (`oidc[].name`) whose tokens this pipeline shows.' }),
  claims: z
    .record(z.string().min(1), z.string().min(1))
    .refine(
      (claims) => Object.keys(claims).length > 0,
      'name at least one claim: without any, every token of the provider would be this pipeline',
    )
    .meta({ description: 'Every one of these claims must have exactly this value.' }),
  personClaim: z.string().min(1).optional().meta({
    description:
      'The claim that holds the e-mail address of the person the run acts for; a run without it acts for nobody known.',
  }),
  may: z
    .array(
      z
        .strictObject({
          rotate: identityPattern.optional(),
          verifyKeys: identityPattern.optional(),
          introspect: word.optional(),
        })
        .refine(
          (permission) => Object.keys(permission).length > 0,
          'name what it may do: rotate, verifyKeys or introspect',
        ),
    )
    .max(200)
    .default([])
    .meta({
      description:
        'What it may do with which identities: `{rotate: payments/*}`, `{verifyKeys: payments/*}`; and the tool whose grants it may introspect and revoke: `{introspect: search}`.',
    }),
});

const tool = z.strictObject({
  audience: serverUrl.meta({
    description: 'What grants for this tool are made out to (`aud`, RFC 9068): the address of its resource server.',
  }),
  actions: z
    .array(word)
    .min(1)
    .max(100)
    .refine((actions) => new Set(actions).size === actions.length, 'names an action twice')
    .meta({ description: 'What may be done with it. A scope is `<tool>:<action>`.' }),
});

/** Of every type of issuer. */
const revocations = z
  .strictObject({
    concurrency: z.int().min(1).max(1000).default(defaultPace.concurrency).meta({
      description:
        'How many revocations of mass revocations may be under way at once; those that are stuck count for a tenth.',
    }),
    perSecond: z.int().min(1).max(1000).default(defaultPace.perSecond).meta({
      description: 'How many of them may begin within any second.',
    }),
  })
  .prefault({})
  .meta({ description: 'What mass revocations may ask of this issuer, all of them together.' });

const postgresRole = z.strictObject({
  type: z.literal('postgres-role'),
  revocations,
  url: databaseUrl,
  scopes: z
    .record(z.string().min(1).max(200), z.string().min(1).max(63))
    .meta({ description: 'Scope as requesters name it, to the PostgreSQL role that is granted for it.' }),
  reassignTo: z.string().min(1).max(63).optional().meta({
    description:
      'The role that gets what a retired identity owned; without it, its owning role stays as long as it owns something.',
  }),
});

const tenureKey = z.strictObject({
  type: z.literal('tenure-key'),
  revocations,
  scopes: z
    .array(z.string().min(1).max(200))
    .min(1)
    .max(1000)
    .meta({ description: 'What its keys may be given; what a scope means is up to who verifies them.' }),
  hashKey: secret.meta({
    description:
      '32 bytes in base64 (`openssl rand -base64 32`). With another one, every key that was issued before is refused.',
  }),
  prefix: z.string().regex(apiKeyPrefixPattern).default('tenure').meta({
    description: 'How its keys begin, before an underscore: what a secret scanner looks for.',
  }),
});

const signingKey = z.strictObject({
  type: z.literal('signing-key'),
  revocations,
  algorithm: z.enum(['ES256', 'RS256']).default('ES256').meta({
    description:
      'What the next key signs with: RS256 (RSA, 3072 bits) where a resource server knows nothing else (RFC 9068 §2.1). Rotate the signer to change over.',
  }),
});

const grants = z
  .strictObject({
    signer: z
      .strictObject({ name: z.string().min(1).max(200), environment: z.string().min(1).max(200) })
      .optional()
      .meta({
        description:
          'The identity whose credential, of an issuer `signing-key`, signs grants. Left out: none is given.',
      }),
  })
  .meta({ description: "Step-ups' grants: docs/grants.md." });

const agentKey = z
  .strictObject({ type: z.literal('agent-key'), revocations })
  .meta({ description: 'What agents authenticate with. Its scopes are every `<tool>:<action>` of `tools`.' });

const sealedStore = z
  .strictObject({
    type: z.literal('sealed'),
    keyFile: path.optional(),
    keyEnv: z.string().min(1).optional(),
    previousKeyFiles: z.array(path).max(20).default([]),
  })
  .refine(
    (store) => (store.keyFile === undefined) !== (store.keyEnv === undefined),
    'give keyFile or keyEnv, one of the two',
  );

const vaultStore = z.strictObject({
  type: z.literal('vault'),
  address: serverUrl,
  mount: z.string().min(1).default('secret'),
  prefix: z.string().min(1).default('tenure'),
  approle: z.strictObject({ mount: z.string().min(1).default('approle'), roleId: z.string().min(1), secretId: secret }),
  namespace: z.string().min(1).optional(),
  caFile: path.optional(),
});

const recoveryKey = z.strictObject({
  person: email,
  publicKey: z
    .string()
    .max(200)
    .refine(
      (text) => recoveryKeyOf(text) !== undefined,
      'not an Ed25519 public key: write its SPKI bytes in base64 (`openssl pkey -in <file> -pubout -outform DER | base64`)',
    )
    .meta({ description: 'Ed25519: the SPKI bytes in base64. The private key is with the person, never here.' }),
});

const recovery = z.strictObject({ keys: z.array(recoveryKey).max(50).default([]) }).meta({
  description:
    'Who, two together, may put other flows in the place of those that let nobody publish any: docs/operating.md, "When nobody can publish flows".',
});

export const configurationSchema = z.strictObject({
  listen: listen.prefault('127.0.0.1:8080'),
  publicUrl: serverUrl
    .optional()
    .meta({ description: 'The address people and pipelines use; default http://<listen>.' }),
  trustedProxies: z.array(proxyAddress).max(200).default([]).meta({
    description:
      'The addresses or networks of the proxies before the API, each of which appends to X-Forwarded-For: who calls is then the last address that none of them has. Left out: the header counts for nothing.',
  }),
  database: databaseUrl.optional().meta({ description: 'The ledger. DATABASE_URL overrides it.' }),
  temporal: temporal
    .optional()
    .meta({ description: 'Left out: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, … and the Temporal configuration file.' }),
  deployment: deployment.prefault({}),
  keys: z.strictObject({ directory: path }),
  leaseSeconds: z
    .int()
    .min(10)
    .max(3600)
    .default(60)
    .meta({ description: 'How long an uncommitted credential may live at its issuer.' }),
  evidence: z.strictObject({ anchorFile: path.optional() }).prefault({}),
  metrics: metrics.prefault({}),
  oidc: z.array(oidcProvider).max(20).default([]),
  people: z.array(person).max(10_000).default([]),
  roles: roles.prefault({}),
  pipelines: z.record(word, pipeline).default({}),
  grants: grants.prefault({}),
  recovery: recovery.prefault({}),
  tools: z.record(word, tool).default({}).meta({ description: 'What agents may be granted.' }),
  issuers: z.record(word, z.discriminatedUnion('type', [postgresRole, tenureKey, agentKey, signingKey])).default({}),
  stores: z.record(word, z.discriminatedUnion('type', [sealedStore, vaultStore])).default({}),
});

export type SecretReference = z.output<typeof databaseUrl>;
export type OidcProvider = z.output<typeof oidcProvider>;
export type Tool = z.output<typeof tool>;
export type PipelineRule = z.output<typeof pipeline>;
export type IssuerConfiguration = Configuration['issuers'][string];
export type StoreConfiguration = Configuration['stores'][string];
export type ParsedConfiguration = z.output<typeof configurationSchema>;

/** `tenure.yaml` after validation: defaults filled in, paths absolute. Secrets are still references (`readSecret`). */
export type Configuration = Omit<ParsedConfiguration, 'database' | 'publicUrl'> & {
  readonly database: SecretReference;
  readonly publicUrl: string;
};

/** The JSON Schema (2020-12) of `tenure.yaml`, for editors and reviewers. */
export function configurationJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(configurationSchema, { io: 'input', target: 'draft-2020-12' }),
    title: 'tenure.yaml',
  };
}
