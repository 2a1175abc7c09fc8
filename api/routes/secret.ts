import { z } from 'zod';
import { handleOf } from '../../ledger/queries/identities.ts';
import { mayStillServe, recordSecretAccess } from '../../ledger/secretAccess.ts';
import { readLive } from '../liveSecret.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem, refusalProblem } from '../problem.ts';
import { Id, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';

const SecretBody = z
  .object({
    identityId: Id,
    version: z.int(),
    epoch: z.int().meta({ description: 'What to acknowledge once this value is in use.' }),
    handle: z.string(),
    login: z
      .string()
      .nullable()
      .meta({ description: 'The name to log in with, where the issuer has one (a database role, a client id).' }),
    value: z.string().meta({ description: 'The secret.' }),
  })
  .meta({ id: 'Secret' });

/** The one route that answers with a secret: evidence first, then the store, then the ledger once more. */
export function secretRoutes({ ledger, secrets }: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/identities/{identityId}/secret',
      operationId: 'readSecret',
      servesSecrets: true,
      tag: 'Secret',
      summary: 'Read the value that is served now',
      description:
        'For registered consumers only, each read with its evidence. Do not cache it past the next rotation: read it before each login, or when a login fails.',
      access: { kinds: ['person', 'pipeline'] },
      params: z.strictObject({ identityId: Id }),
      query: noQuery,
      reply: {
        status: 200,
        description: 'What the store serves.',
        schema: SecretBody,
        example: {
          identityId: 'b5mzfaqsxcjgvhsx3bqvyyqzda',
          version: 2,
          epoch: 2,
          handle: 'b5mzfaqsxcjgvhsx3bqvyyqzda-v2',
          login: 'tenure_b5mzfaqsxcjgvhsx3bqvyyqzda_v2',
          value: '(the secret)',
        },
      },
      problems: ['not-found', 'not-a-consumer', 'no-secret', 'revoking', 'store-unavailable'],
      async handle({ principal, params: { identityId } }) {
        const access = await recordSecretAccess(ledger, { identityId, consumer: principal.id });
        if (!access.allowed) throw refusalProblem(access);
        const live = await readLive(secrets, access.store, identityId);
        if (live === undefined)
          throw new Problem(
            'no-secret',
            `Nothing is served for identity ${identityId} yet. Wait until its request is completed.`,
          );
        if (live.kind === 'tombstone')
          throw new Problem(
            'no-secret',
            `Identity ${identityId} is served no more: a tombstone stands in its store under epoch ${live.epoch}.`,
          );
        const { version, epoch, value } = live;
        // However late the store answered: what was revoked meanwhile does not leave (promise 2).
        const still = await mayStillServe(ledger, { identityId, version });
        if (!still.allowed) throw refusalProblem(still);
        const handle = await handleOf(ledger.prisma, { identityId, version });
        if (handle === undefined)
          throw new Problem(
            'internal',
            `Store ${access.store} serves version ${version} of identity ${identityId}, which the ledger does not know. A person must look at it.`,
          );
        return {
          body: { identityId, version, epoch, handle, login: secrets.loginName(access.issuer, handle) ?? null, value },
        };
      },
    }),
  ];
}
