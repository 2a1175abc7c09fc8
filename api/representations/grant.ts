import { z } from 'zod';
import { scopeOf } from '../../domain/agents.ts';
import { grantStandings, type KnownGrant } from '../../ledger/grants.ts';
import { Id, Instant } from './fields.ts';

export const GrantBody = z
  .object({
    id: Id.meta({ description: "The token's `jti`." }),
    stepUp: Id.meta({ description: 'The step-up that gave it.' }),
    scope: z.string(),
    audience: z.string(),
    resource: z.string(),
    workspace: z.string(),
    onBehalfOf: z.string().nullable(),
    isOnBehalfVerified: z.boolean().meta({ description: "That person's own token showed it." }),
    issuedAt: Instant,
    expiresAt: Instant,
    standing: z.enum(grantStandings).meta({ description: 'Now. All but `active` say why it cannot be used.' }),
    revokedAt: Instant.nullable(),
    revokedBy: z.string().nullable(),
    revokedBecause: z.string().nullable(),
  })
  .meta({ id: 'Grant' });
export type GrantBody = z.input<typeof GrantBody>;

export function grantBody(grant: KnownGrant): GrantBody {
  const { id, requestId, audience, tool, action, resource, workspace, onBehalfOf, isOnBehalfVerified } = grant;
  const { issuedAt, expiresAt, standing, revokedAt, revokedBy, revokedBecause } = grant;
  return {
    ...{ id, stepUp: requestId, scope: scopeOf(tool, action), audience, resource, workspace },
    ...{ onBehalfOf, isOnBehalfVerified, standing, revokedBy, revokedBecause },
    issuedAt: issuedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}

export const grantExample: GrantBody = {
  id: 'w5f2rrq3cjm2nyo4bf7x5w2yzi',
  stepUp: 'qsch47vxnzj47kmpqx6qtfacpi',
  scope: 'search:read',
  audience: 'https://search.example.com',
  resource: 'orders/4711',
  workspace: 'payments',
  onBehalfOf: 'ana@example.com',
  isOnBehalfVerified: true,
  issuedAt: '2026-11-22T10:00:00.000Z',
  expiresAt: '2026-11-22T10:10:00.000Z',
  standing: 'active',
  revokedAt: null,
  revokedBy: null,
  revokedBecause: null,
};
