import { readFileSync } from 'node:fs';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Configuration } from './configurationSchema.ts';
import { readSecret } from './secretReference.ts';

/** What both the client's and the worker's connection take. */
export interface TemporalConnection {
  readonly namespace: string;
  readonly connectionOptions: {
    readonly address: string;
    readonly apiKey?: string;
    readonly metadata?: Record<string, string>;
    readonly tls?: TemporalTls | boolean;
  };
}

interface TemporalTls {
  readonly serverNameOverride?: string;
  readonly serverRootCACertificate?: Uint8Array;
  readonly clientCertPair?: { readonly crt: Uint8Array; readonly key: Uint8Array };
}

/**
 * Where Temporal is: `temporal` of tenure.yaml, or, when that is absent, Temporal's own environment configuration
 * (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS_…, TEMPORAL_CONFIG_FILE). Never a mixture of the two.
 * @throws SecretUnreadable, or the file system's error when a certificate cannot be read
 */
export function temporalConnection({ temporal }: Configuration, env: NodeJS.ProcessEnv): TemporalConnection {
  if (temporal === undefined) return connectionFromEnvironment(env);
  const { address, namespace, tls, apiKey } = temporal;
  return {
    namespace,
    connectionOptions: {
      address,
      ...(apiKey === undefined ? {} : { apiKey: readSecret(apiKey, env) }),
      // An API key must never travel in the clear, so it implies TLS.
      ...(tls === undefined ? (apiKey === undefined ? {} : { tls: true }) : { tls: readTls(tls) }),
    },
  };
}

function readTls({
  serverName,
  caFile,
  certificateFile,
  keyFile,
}: NonNullable<NonNullable<Configuration['temporal']>['tls']>): TemporalTls {
  return {
    ...(serverName === undefined ? {} : { serverNameOverride: serverName }),
    ...(caFile === undefined ? {} : { serverRootCACertificate: readFileSync(caFile) }),
    ...(certificateFile === undefined || keyFile === undefined
      ? {}
      : { clientCertPair: { crt: readFileSync(certificateFile), key: readFileSync(keyFile) } }),
  };
}

function connectionFromEnvironment(env: NodeJS.ProcessEnv): TemporalConnection {
  const overrideEnvVars = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const { namespace, connectionOptions } = loadClientConnectConfig({ overrideEnvVars, configFileStrict: true });
  const { address, apiKey, tls, metadata } = connectionOptions;
  return {
    namespace: namespace ?? 'default',
    connectionOptions: {
      address: address ?? '127.0.0.1:7233',
      ...(typeof apiKey === 'string' ? { apiKey } : {}),
      ...(tls === undefined || tls === null ? {} : { tls: typeof tls === 'boolean' ? tls : presentTls(tls) }),
      ...(metadata === undefined
        ? {}
        : { metadata: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)])) }),
    },
  };
}

/** The SDK's reader leaves undefined members in place; exact optional types do not. */
function presentTls(tls: { [K in keyof TemporalTls]?: TemporalTls[K] | undefined }): TemporalTls {
  const { serverNameOverride, serverRootCACertificate, clientCertPair } = tls;
  return {
    ...(serverNameOverride === undefined ? {} : { serverNameOverride }),
    ...(serverRootCACertificate === undefined ? {} : { serverRootCACertificate }),
    ...(clientCertPair === undefined ? {} : { clientCertPair }),
  };
}
