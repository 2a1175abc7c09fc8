import type { Configuration } from '../configuration/configurationSchema.ts';
import { offeredScopes } from '../configuration/offeredScopes.ts';
import { type AgentPolicy, scopesOfPolicy } from '../domain/agents.ts';
import { requireIssuerFits } from './agentOrder.ts';
import type { ApiDependencies } from './ports.ts';
import { invalidRequest, Problem } from './problem.ts';
import { requireSignerAlone } from './signerConsumers.ts';

/** What an onboarding asks for, in so far as it can be told from tenure.yaml and the clock whether it can be carried out. */
export interface AskedIdentity {
  readonly kind: string;
  readonly issuer: string;
  readonly store: string;
  readonly scopes: readonly string[];
  /** Agents only: what its scopes are of. */
  readonly policy?: AgentPolicy | undefined;
  readonly consumers: readonly string[];
  /** RFC 3339. */
  readonly expiresAt: string;
}

const tenYearsMs = 10 * 366 * 24 * 60 * 60 * 1000;

/**
 * Refuses what cannot be carried out now and not after the approvals: of an opening, and of an amendment, for which `asked`
 * is what it would ask for afterwards.
 * @throws Problem naming the field, or what tenure.yaml does not have
 */
export function requireOnboardable({ configuration, now }: ApiDependencies, asked: AskedIdentity): void {
  requireSensibleExpiry(asked.expiresAt, now());
  requireConfigured(configuration, asked);
}

function requireSensibleExpiry(expiresAt: string, now: Date): void {
  const untilMs = Date.parse(expiresAt) - now.getTime();
  if (untilMs <= 0) throw invalidRequest([{ field: 'body.expiresAt', message: 'must be in the future' }]);
  if (untilMs > tenYearsMs) throw invalidRequest([{ field: 'body.expiresAt', message: 'must be within ten years' }]);
}

function requireConfigured(configuration: Configuration, asked: AskedIdentity): void {
  const issuer = Object.hasOwn(configuration.issuers, asked.issuer) ? configuration.issuers[asked.issuer] : undefined;
  if (issuer === undefined)
    throw new Problem(
      'unknown-issuer',
      `There is no issuer "${asked.issuer}". tenure.yaml has: ${listed(Object.keys(configuration.issuers))}.`,
    );
  requireIssuerFits(asked.kind, asked.issuer, configuration);
  if (!Object.hasOwn(configuration.stores, asked.store))
    throw new Problem(
      'unknown-store',
      `There is no store "${asked.store}". tenure.yaml has: ${listed(Object.keys(configuration.stores))}.`,
    );
  requireOffered(asked, offeredScopes(issuer, configuration.tools));
  const undeclared = asked.consumers.findIndex(
    (consumer) =>
      consumer.startsWith('pipeline:') && !Object.hasOwn(configuration.pipelines, consumer.slice('pipeline:'.length)),
  );
  if (undeclared >= 0)
    throw invalidRequest([
      { field: `body.consumers.${undeclared}`, message: 'names a pipeline that tenure.yaml does not declare' },
    ]);
  requireSignerAlone(issuer.type, asked.consumers);
}

/** Of an agent, what was asked for is its policy: it has no scope that is not of it. */
function requireOffered({ issuer, scopes, policy }: AskedIdentity, offered: readonly string[]): void {
  const within = policy === undefined ? offered : scopesOfPolicy(policy);
  const foreign = scopes.find((scope) => !within.includes(scope));
  if (foreign !== undefined && policy !== undefined)
    throw new Problem(
      'unsupported-scope',
      `The agent's policy does not have scope "${foreign}". Ask for another onboarding.`,
    );
  const unsupported = foreign ?? scopes.find((scope) => !offered.includes(scope));
  if (unsupported !== undefined)
    throw new Problem(
      'unsupported-scope',
      `Issuer "${issuer}" does not offer scope "${unsupported}". It offers: ${listed(offered)}.`,
    );
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
