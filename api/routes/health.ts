import { z } from 'zod';
import { evidenceState, ledgerReadiness } from '../../ledger/queries/readiness.ts';
import { restoreInForce } from '../../ledger/restore.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import { noParams, noQuery } from '../representations/fields.ts';
import { defineRoute, type Route } from '../route.ts';
import { shared } from '../shared.ts';

const Readiness = z
  .object({
    status: z.enum(['ready', 'degraded']).meta({
      description:
        '`degraded`: Temporal cannot be reached, the ledger is observe-only, or evidence is not kept whole (`evidence`); safety commands and reads work.',
    }),
    database: z.literal('reachable'),
    migrations: z.literal('applied'),
    temporal: z.enum(['reachable', 'unreachable']),
    ledger: z.enum(['acting', 'observe-only']).meta({
      description:
        '`observe-only`: it was restored from a backup; an administrator resumes it (docs/reconciliation.md).',
    }),
    evidence: z.enum(['sealed', 'stopped', 'damaged']).meta({
      description:
        "`stopped`: new evidence has not been sealed for up to a minute; `damaged`: sealed evidence was changed in the database. No worker issues anything five minutes later. The worker's log and `tenure evidence audit` say what it is (docs/evidence.md, When sealing stops).",
    }),
  })
  .meta({ id: 'Readiness' });

export function healthRoutes(deps: ApiDependencies): Route[] {
  // Nothing limits who asks: however many do, it is looked at once.
  const look = shared(() => readiness(deps));
  return [
    defineRoute({
      method: 'get',
      path: '/healthz',
      operationId: 'getHealth',
      tag: 'Health',
      summary: 'Is the process alive',
      description: 'Looks at nothing else: restarting the API would not bring a database back.',
      access: 'anyone',
      isHealth: true,
      params: noParams,
      query: noQuery,
      reply: {
        status: 200,
        description: 'Alive.',
        schema: z.object({ status: z.literal('alive') }),
        example: { status: 'alive' },
      },
      problems: [],
      handle: async () => ({ body: { status: 'alive' as const } }),
    }),
    defineRoute({
      method: 'get',
      path: '/readyz',
      operationId: 'getReadiness',
      tag: 'Health',
      summary: 'Can it serve',
      description:
        'Needs the database with all migrations. Without Temporal it is `degraded` and still serves, since a freeze or a revocation must get through then too.',
      access: 'anyone',
      isHealth: true,
      params: noParams,
      query: noQuery,
      reply: {
        status: 200,
        description: 'It serves.',
        schema: Readiness,
        example: {
          status: 'ready',
          database: 'reachable',
          migrations: 'applied',
          temporal: 'reachable',
          ledger: 'acting',
          evidence: 'sealed',
        },
      },
      problems: ['not-ready'],
      handle: async () => ({ body: await look() }),
    }),
  ];
}

/** @throws Problem `not-ready` */
async function readiness({ ledger, gateway }: ApiDependencies): Promise<z.output<typeof Readiness>> {
  const [{ database, migrations }, isTemporalReachable] = await Promise.all([
    ledgerReadiness(ledger.prisma),
    gateway.isReachable(),
  ]);
  const temporal = isTemporalReachable ? ('reachable' as const) : ('unreachable' as const);
  if (!database)
    throw new Problem('not-ready', 'The database cannot be reached. Check DATABASE_URL and PostgreSQL.', {
      extensions: { temporal },
    });
  if (!migrations)
    throw new Problem(
      'not-ready',
      'The database lacks migrations of this release. Start the worker, or run the migrations.',
      { extensions: { temporal } },
    );
  const [restore, evidence] = await Promise.all([restoreInForce(ledger.prisma), evidenceState(ledger.prisma)]);
  const isActing = restore === undefined;
  // Degraded, not refused: who can change one row must not thereby take freeze and revoke away.
  const isReady = isTemporalReachable && isActing && evidence === 'sealed';
  return {
    status: isReady ? ('ready' as const) : ('degraded' as const),
    database: 'reachable' as const,
    migrations: 'applied' as const,
    temporal,
    ledger: isActing ? ('acting' as const) : ('observe-only' as const),
    evidence,
  };
}
