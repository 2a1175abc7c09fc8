import { personIdPattern } from '../domain/ids.ts';
import { peopleAt } from '../ledger/people.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem } from './problem.ts';

/**
 * People as bodies and queries name them: by an address, which is resolved once, here, to the id that it stands for; or by
 * that id. What is stored is the id: an address may be somebody else's tomorrow.
 */

type Deps = Pick<ApiDependencies, 'ledger'>;

/**
 * The id of whom `named` names. An address that nobody has is returned as it is: whoever needs a person there refuses it.
 * @throws Problem `ambiguous-address`
 */
export async function personNamed({ ledger }: Deps, named: string): Promise<string> {
  if (!named.includes('@')) return named;
  const [one, ...others] = await peopleAt(ledger.direct, named);
  if (one === undefined) return named;
  if (others.length === 0) return one;
  const ids = [one, ...others].filter((id) => personIdPattern.test(id));
  throw new Problem(
    'ambiguous-address',
    `${named} is the address of ${others.length + 1} people. Name the one you mean by id (${ids.join(', ')}; GET /v1/people?address=${named}).`,
  );
}

/** The same of each; pipelines and the signer stay as they are. */
export async function peopleNamed(deps: Deps, named: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const name of named) ids.push(await personNamed(deps, name));
  return [...new Set(ids)];
}

/** Everybody whom these may name: what stops things stops them for all of those rather than for none. */
export async function everybodyNamed({ ledger }: Deps, named: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const name of named) ids.push(name, ...(name.includes('@') ? await peopleAt(ledger.direct, name) : []));
  return [...new Set(ids)];
}
