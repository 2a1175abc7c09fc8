import type { JWTPayload } from 'jose';
import type { Configuration, PipelineRule } from '../../configuration/configurationSchema.ts';
import { Problem } from '../problem.ts';
import type { Principal } from './principal.ts';

/**
 * The one pipeline of tenure.yaml whose every claim the verified token carries with exactly that value.
 * @throws Problem `forbidden` when none or more than one matches, or the person it acts for is not named: never a guess
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

/** The human behind a machine is resolved first (promise 4): where tenure.yaml names the claim, a run without it is refused. */
function personBehind(claims: JWTPayload, name: string, { personClaim }: PipelineRule): { onBehalfOf?: string } {
  if (personClaim === undefined) return {};
  const person = claims[personClaim];
  if (typeof person !== 'string' || person === '')
    throw new Problem(
      'forbidden',
      `The token of pipeline "${name}" lacks the claim "${personClaim}", which names the person it acts for. Make the provider send it.`,
    );
  return { onBehalfOf: person.toLowerCase() };
}

/**
 * Whether a pipeline may rotate this identity: a pattern `<integration>/<name>` of its `may` list, where `*` stands for
 * any characters within one segment (between slashes).
 */
export function mayRotate(may: PipelineRule['may'], identity: { integration: string; name: string }): boolean {
  return may.some(({ rotate }) => matches(rotate, `${identity.integration}/${identity.name}`));
}

function matches(pattern: string, path: string): boolean {
  const source = pattern
    .split('*')
    .map((literal) => literal.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('[^/]*');
  return new RegExp(`^${source}$`, 'u').test(path);
}
