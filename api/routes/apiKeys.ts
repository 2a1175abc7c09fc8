import { z } from 'zod';
import { identityKinds } from '../../domain/flow/language.ts';
import { apiKeyStandings, type KnownApiKey, recordApiKeyUse } from '../../ledger/apiKeyVerification.ts';
import { mayDo } from '../auth/pipelines.ts';
import type { ApiDependencies } from '../ports.ts';
import { Id, noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';

const [, ...reasons] = apiKeyStandings;

const Verification = z
  .discriminatedUnion('active', [
    z.object({
      active: z.literal(true),
      identityId: Id,
      name: z.string(),
      kind: z.enum(identityKinds),
      environment: z.string(),
      integration: z.string(),
      scopes: z.array(z.string()).meta({ description: 'Of the key, as far as its identity still has them.' }),
      version: z.int(),
      expiresAt: z.iso.datetime(),
    }),
    z.object({
      active: z.literal(false),
      because: z.enum(['unknown', ...reasons]).meta({
        description:
          '`unknown`: nobody’s key, or one that this caller may not verify. The others: why it is inactive now.',
      }),
      identityId: Id.optional(),
    }),
  ])
  .meta({ id: 'KeyVerification' });

/** Verification of our own API keys, for those whom they are shown to. */
export function apiKeyRoutes({ findApiKey, ledger: { prisma } }: ApiDependencies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/keys/verify',
      operationId: 'verifyKey',
      tag: 'API keys',
      summary: 'Verify an API key that Tenure issued',
      description:
        'Whose key it is, what it may do, and whether it is active, as of now: a revocation, a freeze and a narrowing count from their commit on, so do not cache a yes for longer than you would bear either. Its last use is recorded, to half a minute. For principals with `verifyKeys` in tenure.yaml; a key of an identity that it does not name is `unknown`.',
      access: { kinds: ['pipeline'] },
      writesNothing: true,
      params: noParams,
      query: noQuery,
      body: z.strictObject({ key: z.string().min(1).max(200) }),
      bodyExample: { key: 'tenure_(46 letters and digits)' },
      reply: {
        status: 200,
        description: 'What is known of it.',
        schema: Verification,
        example: {
          active: true,
          identityId: 'b5mzfaqsxcjgvhsx3bqvyyqzda',
          name: 'billing-export',
          kind: 'api-key',
          environment: 'production',
          integration: 'payments',
          scopes: ['orders:read'],
          version: 3,
          expiresAt: '2027-02-01T12:00:00.000Z',
        },
        headers: { 'Cache-Control': 'no-store' },
      },
      problems: [],
      async handle({ principal, body }) {
        const found = await findApiKey(body.key);
        const mayAsk = found !== undefined && mayDo('verifyKeys', principal.may ?? [], found);
        if (!mayAsk) return { body: unknownKey };
        if (found.standing === 'active' && found.isUseDue) await recordApiKeyUse(prisma, found.handle);
        return { body: verificationOf(found) };
      },
    }),
  ];
}

const unknownKey = { active: false, because: 'unknown' } as const;

function verificationOf({ standing, identityId, ...key }: KnownApiKey): z.input<typeof Verification> {
  if (standing !== 'active') return { active: false, because: standing, identityId };
  const { name, kind, environment, integration, scopes, version, validUntil } = key;
  return {
    active: true,
    identityId,
    name,
    kind,
    environment,
    integration,
    scopes: [...scopes],
    version,
    expiresAt: validUntil.toISOString(),
  };
}
