import { expect, test } from 'vitest';
import {
  credentialStates,
  credentialTransitions,
  identityStates,
  identityTransitions,
  isFinalRequestState,
  requestStates,
} from '../../domain/states.ts';
import { evidenceFixture } from './evidenceFixture.ts';
import { insertIdentity, insertRequest, insertWhole, refusalOf } from './rows.ts';

/** domain/states.ts and PostgreSQL's triggers hold the same tables: tried pair by pair, with nothing of ours in between. */

/** A fresh row in the first state is moved to the second: which pairs are let through, and what refuses the others. */
async function pairs<S extends string>(
  states: readonly S[],
  attempt: (from: S, to: S) => Promise<string | undefined>,
): Promise<{ allowed: Record<string, readonly S[]>; refusedBy: Set<string> }> {
  const allowed: Record<string, readonly S[]> = {};
  const refusedBy = new Set<string>();
  for (const from of states) {
    const reached: S[] = [];
    for (const to of states.filter((state) => state !== from)) {
      const refusal = await attempt(from, to);
      if (refusal === undefined) reached.push(to);
      else refusedBy.add(refusal);
    }
    allowed[from] = reached;
  }
  return { allowed, refusedBy };
}

test('a credential goes exactly where domain/states.ts says, and a destroyed one nowhere', async () => {
  const client = await (await evidenceFixture()).connect();
  const { allowed, refusedBy } = await pairs(credentialStates, async (from, to) => {
    const { handle } = await insertWhole(client, from);
    const receipt = to === 'destroyed' ? { method: 'absent' } : null;
    const update = `UPDATE "credential" SET "state" = $2, "receipt" = coalesce("receipt", $3) WHERE "handle" = $1`;
    return refusalOf(client, update, [handle, to, receipt]);
  });
  expect(allowed).toEqual(credentialTransitions);
  expect([...refusedBy]).toEqual(['credential_transition']);
});

test('an identity goes exactly where domain/states.ts says, and a final one nowhere', async () => {
  const client = await (await evidenceFixture()).connect();
  const { allowed, refusedBy } = await pairs(identityStates, async (from, to) => {
    const id = await insertIdentity(client, { state: from });
    return refusalOf(client, `UPDATE "identity" SET "state" = $2 WHERE "id" = $1`, [id, to]);
  });
  expect(allowed).toEqual(identityTransitions);
  expect([...refusedBy]).toEqual(['identity_transition']);
});

test('an open request may take any state, and a final one stays what it is', async () => {
  const client = await (await evidenceFixture()).connect();
  const { allowed, refusedBy } = await pairs(requestStates, async (from, to) => {
    const id = await insertRequest(client, await insertIdentity(client), { state: from });
    return refusalOf(client, `UPDATE "request" SET "state" = $2 WHERE "id" = $1`, [id, to]);
  });
  const others = (from: string) => requestStates.filter((state) => state !== from);
  expect(allowed).toEqual(
    Object.fromEntries(requestStates.map((from) => [from, isFinalRequestState(from) ? [] : others(from)])),
  );
  expect([...refusedBy]).toEqual(['request_final']);
});

test('a state that domain/states.ts does not know is none', async () => {
  const client = await (await evidenceFixture()).connect();
  const { identityId, requestId, handle } = await insertWhole(client);
  const unknown = [
    [`UPDATE "identity" SET "state" = 'frozen' WHERE "id" = $1`, identityId, /^identity_/],
    [`UPDATE "request" SET "state" = 'lost' WHERE "id" = $1`, requestId, /^request_/],
    [`UPDATE "credential" SET "state" = 'revoked' WHERE "handle" = $1`, handle, /^credential_/],
  ] as const;
  for (const [update, id, constraint] of unknown) expect(await refusalOf(client, update, [id])).toMatch(constraint);
  await expect(insertIdentity(client, { state: 'unknown' as 'active' })).rejects.toMatchObject({
    constraint: 'identity_state',
  });
  await expect(insertRequest(client, identityId, { state: 'unknown' as 'held' })).rejects.toMatchObject({
    constraint: 'request_state',
  });
});

test('a row that only repeats its state is let through: a repeated step changes nothing', async () => {
  const client = await (await evidenceFixture()).connect();
  for (const state of credentialStates) {
    const { handle } = await insertWhole(client, state);
    expect(await refusalOf(client, `UPDATE "credential" SET "state" = $2 WHERE "handle" = $1`, [handle, state])).toBe(
      undefined,
    );
  }
});
