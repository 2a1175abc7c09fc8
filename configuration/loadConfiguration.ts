import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import {
  type Configuration,
  configurationSchema,
  type ParsedConfiguration,
  type SecretReference,
} from './configurationSchema.ts';
import { nearestKey } from './nearestKey.ts';
import { recoveryKeyOf } from './recoveryKeys.ts';
import { openYaml, type YamlSource } from './yamlSource.ts';

/** The configuration cannot be used. `problems` are complete sentences, each with file, line and column where there is one. */
export class ConfigurationInvalid extends Error {
  override readonly name = 'ConfigurationInvalid';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/**
 * Reads `tenure.yaml`, strictly: everything that is wrong is reported at once, with its place.
 * @param path the file; relative paths inside it are relative to its folder
 * @param env `DATABASE_URL` there overrides `database`
 * @throws ConfigurationInvalid naming file, line, column and remedy; never holds a secret
 */
export function loadConfiguration(path: string, env: NodeJS.ProcessEnv): Configuration {
  const source = openYaml(path, readText(path));
  if (source.syntaxProblems.length > 0) throw new ConfigurationInvalid(source.syntaxProblems);
  const parsed = configurationSchema.safeParse(source.value ?? {});
  if (!parsed.success)
    throw new ConfigurationInvalid(parsed.error.issues.flatMap((issue) => describeIssue(source, issue)));
  const contradictions = findContradictions(parsed.data).map(
    ({ path: place, message }) => `${source.placeOf(place)}: ${message}`,
  );
  if (contradictions.length > 0) throw new ConfigurationInvalid(contradictions);
  return complete(parsed.data, { path, env });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ConfigurationInvalid([
      `${path} cannot be read (${cause instanceof Error ? cause.message : 'unknown error'}). Name the configuration file in TENURE_CONFIG.`,
    ]);
  }
}

function describeIssue(source: YamlSource, issue: z.core.$ZodIssue): string[] {
  if (issue.code !== 'unrecognized_keys')
    return [`${source.placeOf(issue.path)}: ${issue.path.join('.') || 'the file'}: ${lowerFirst(issue.message)}.`];
  return issue.keys.map((key) => {
    const near = nearestKey(key, issue.path);
    const remedy = near === undefined ? 'Remove it.' : `Did you mean "${near}"?`;
    return `${source.placeOfKey(issue.path, key)}: ${[...issue.path, key].join('.')} is not a known key. ${remedy}`;
  });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** What the schema cannot say: names that must refer to something, and must be unique. */
function findContradictions(configuration: ParsedConfiguration): { path: PropertyKey[]; message: string }[] {
  const found: { path: PropertyKey[]; message: string }[] = [];
  const seenProviders = new Set<string>();
  const seenIssuers = new Set<string>();
  configuration.oidc.forEach((provider, index) => {
    if (seenProviders.has(provider.name))
      found.push({
        path: ['oidc', index, 'name'],
        message: `oidc provider "${provider.name}" is declared twice. Rename one.`,
      });
    // A token is matched to its provider by `iss` and audience: two providers that share both could not be told apart.
    const identity = `${provider.issuer} ${provider.audience}`;
    if (seenIssuers.has(identity))
      found.push({
        path: ['oidc', index, 'issuer'],
        message: 'another oidc provider has this issuer and audience. Give each its own audience.',
      });
    seenProviders.add(provider.name);
    seenIssuers.add(identity);
  });
  const seenPeople = new Set<string>();
  configuration.people.forEach((person, index) => {
    if (seenPeople.has(person.id))
      found.push({ path: ['people', index, 'id'], message: `${person.id} is listed twice. Remove one.` });
    seenPeople.add(person.id);
  });
  for (const [name, pipeline] of Object.entries(configuration.pipelines)) {
    const provider = configuration.oidc.find((candidate) => candidate.name === pipeline.oidc);
    if (provider?.for !== 'pipelines')
      found.push({
        path: ['pipelines', name, 'oidc'],
        message: `pipeline "${name}" names the oidc provider "${pipeline.oidc}", which is ${provider === undefined ? 'not declared' : `for ${provider.for}`}. Declare one with "for: pipelines".`,
      });
    pipeline.may.forEach(({ introspect }, index) => {
      if (introspect !== undefined && !Object.hasOwn(configuration.tools, introspect))
        found.push({
          path: ['pipelines', name, 'may', index, 'introspect'],
          message: `pipeline "${name}" may introspect the tool "${introspect}", which is not declared. Declare it under "tools".`,
        });
    });
  }
  return [
    ...found,
    ...subjectAudienceContradictions(configuration.oidc),
    ...recoveryContradictions(configuration.recovery.keys),
  ];
}

/** What a person gives to an agent must never be what signs somebody in. */
function subjectAudienceContradictions(
  providers: ParsedConfiguration['oidc'],
): { path: PropertyKey[]; message: string }[] {
  return providers.flatMap(({ name, issuer, subjectAudience, ...provider }, index) => {
    if (subjectAudience === undefined) return [];
    const found = (message: string) => [{ path: ['oidc', index, 'subjectAudience'], message }];
    if (provider.for !== 'people')
      return found(`oidc provider "${name}" is for ${provider.for}. Only one "for: people" has a subjectAudience.`);
    const signIn = providers.find(({ audience }) => audience === subjectAudience);
    if (signIn !== undefined)
      return found(
        `tokens for "${subjectAudience}" sign in by provider "${signIn.name}", and agents are given them. Choose an audience of its own.`,
      );
    const same = providers.findIndex((other) => other.issuer === issuer && other.subjectAudience === subjectAudience);
    return same === index
      ? []
      : found('another oidc provider has this issuer and subjectAudience. Give each its own subjectAudience.');
  });
}

/** Keys of one person alone, or one key for two, would let one person do what takes two. */
function recoveryContradictions(
  keys: ParsedConfiguration['recovery']['keys'],
): { path: PropertyKey[]; message: string }[] {
  const keyIds = keys.map(({ publicKey }) => recoveryKeyOf(publicKey)?.keyId);
  const repeated = keys.flatMap(({ person }, index) => {
    const first = keyIds.indexOf(keyIds[index]);
    if (first === index) return [];
    const message = `the recovery key of ${person} is that of ${keys[first]?.person}. Give everybody a key of their own.`;
    return [{ path: ['recovery', 'keys', index, 'publicKey'], message }];
  });
  if (keys.length === 0 || new Set(keys.map(({ person }) => person)).size >= 2) return repeated;
  const message = `recovery takes two different people, and only ${keys[0]?.person} has a key. Add another person's.`;
  return [...repeated, { path: ['recovery', 'keys'], message }];
}

function complete(parsed: ParsedConfiguration, { path, env }: { path: string; env: NodeJS.ProcessEnv }): Configuration {
  const directory = dirname(resolve(path));
  const absolute = (file: string): string => resolve(directory, file);
  const database: SecretReference | undefined = env['DATABASE_URL'] ? { env: 'DATABASE_URL' } : parsed.database;
  if (database === undefined)
    throw new ConfigurationInvalid([`${path}: no database. Add "database:" or set DATABASE_URL.`]);
  const { host, port } = parsed.listen;
  return {
    ...withAbsolutePaths(parsed, absolute),
    database: withAbsoluteFile(database, absolute),
    publicUrl: (parsed.publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`).replace(/\/$/, ''),
  };
}

function withAbsoluteFile<T extends SecretReference>(reference: T, absolute: (file: string) => string): T {
  return typeof reference === 'object' && 'file' in reference
    ? { ...reference, file: absolute(reference.file) }
    : reference;
}

/** Every key that names a path ends in `File`, `Files` or is `keys.directory` or a `{file}` reference; each is resolved here. */
function withAbsolutePaths(parsed: ParsedConfiguration, absolute: (file: string) => string): ParsedConfiguration {
  return {
    ...parsed,
    keys: { directory: absolute(parsed.keys.directory) },
    evidence: parsed.evidence.anchorFile === undefined ? {} : { anchorFile: absolute(parsed.evidence.anchorFile) },
    ...(parsed.temporal === undefined ? {} : { temporal: absoluteTemporal(parsed.temporal, absolute) }),
    issuers: mapValues(parsed.issuers, (issuer) => {
      if (issuer.type === 'postgres-role') return { ...issuer, url: withAbsoluteFile(issuer.url, absolute) };
      if (issuer.type === 'tenure-key') return { ...issuer, hashKey: withAbsoluteFile(issuer.hashKey, absolute) };
      return issuer;
    }),
    stores: mapValues(parsed.stores, (store) =>
      store.type === 'sealed'
        ? {
            ...store,
            ...present('keyFile', store.keyFile, absolute),
            previousKeyFiles: store.previousKeyFiles.map(absolute),
          }
        : {
            ...store,
            ...present('caFile', store.caFile, absolute),
            approle: { ...store.approle, secretId: withAbsoluteFile(store.approle.secretId, absolute) },
          },
    ),
  };
}

function absoluteTemporal(temporal: NonNullable<ParsedConfiguration['temporal']>, absolute: (file: string) => string) {
  const { tls, apiKey, ...rest } = temporal;
  return {
    ...rest,
    ...(apiKey === undefined ? {} : { apiKey: withAbsoluteFile(apiKey, absolute) }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ...tls,
            ...present('caFile', tls.caFile, absolute),
            ...present('certificateFile', tls.certificateFile, absolute),
            ...present('keyFile', tls.keyFile, absolute),
          },
        }),
  };
}

function present<K extends string>(
  key: K,
  file: string | undefined,
  absolute: (file: string) => string,
): { [P in K]?: string } {
  return file === undefined ? {} : ({ [key]: absolute(file) } as { [P in K]?: string });
}

function mapValues<T, R>(record: Record<string, T>, change: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
