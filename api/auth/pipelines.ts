import type { JWTPayload } from 'jose';
import { z } from 'zod';
import type { Configuration, PipelineRule } from '../../configuration/configurationSchema.ts';
import { Problem } from '../problem.ts';
import type { Principal } from './principal.ts';

/**
 * The one pipeline of tenure.yaml whose every claim the verified token carries with exactly that value.
 * @throws Problem `forbidden` when none or more than one matches, or the person it acts for is unreadable: never a guess
 */
export function pipelinePrincipal(
  claims: JWTPayload,
  providerName: string,
  pipelines: Configuration['pipelines'],
): Principal {
  const matching = Object.entries(pipelines).filter(
    ([, rule]) =>
      rule.oidc === providerName &&
      Object.entries(rule.claims).every(([claim, value]) => isExactly(claims[claim], value)),
  );
  const [match, second] = matching;
  if (match === undefined)
    throw new Problem(
      'forbidden',
      `The token of provider "${providerName}" matches no pipeline of tenure.yaml. Declare the pipeline there, with the claims that single it out.`,
    );
  if (second !== undefined)
    throw new Problem(
      'forbidden',
      `The token matches the pipelines ${matching.map(([name]) => `"${name}"`).join(' and ')}. Make their claims in tenure.yaml exclude one another.`,
    );
  const [name, rule] = match;
  return {
    id: `pipeline:${name}`,
    ids: [`pipeline:${name}`],
    kind: 'pipeline',
    groups: [],
    roles: [],
    may: rule.may,
    ...personBehind(claims, name, rule),
  };
}

function isExactly(claim: unknown, value: string): boolean {
  return (
    (typeof claim === 'string' || typeof claim === 'number' || typeof claim === 'boolean') && String(claim) === value
  );
}

const personAddress = z.email().max(200).toLowerCase();

/**
 * The human behind a machine is resolved first (promise 4). A run that names none acts for nobody known, which flows can
 * refuse (`onBehalfOf.active`); one that names somebody unreadably is refused here.
 */
function personBehind(claims: JWTPayload, name: string, { personClaim }: PipelineRule): { onBehalfOf?: string } {
  const claimed = personClaim === undefined ? undefined : claims[personClaim];
  if (claimed === undefined) return {};
  const person = personAddress.safeParse(claimed);
  if (person.success) return { onBehalfOf: person.data };
  throw new Problem(
    'forbidden',
    `The claim "${personClaim}" in the token of pipeline "${name}" is not an e-mail address. Make the provider send the person's address.`,
  );
}

/**
 * Whether a pipeline may do this with an identity: a pattern `<integration>/<name>` of its `may` list says so, where `*`
 * stands for any characters within one segment (between slashes).
 */
export function mayDo(
  what: 'rotate' | 'verifyKeys',
  may: PipelineRule['may'],
  identity: { integration: string; name: string },
): boolean {
  const path = `${identity.integration}/${identity.name}`;
  return may.some(({ [what]: pattern }) => pattern !== undefined && matches(pattern, path));
}

/** Whether a pipeline is a resource server of this tool. */
export function mayIntrospect(may: PipelineRule['may'], tool: string): boolean {
  return may.some(({ introspect }) => introspect === tool);
}

function matches(pattern: string, path: string): boolean {
  const source = pattern
    .split('*')
    .map((literal) => literal.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('[^/]*');
  return new RegExp(`^${source}$`, 'u').test(path);
}
