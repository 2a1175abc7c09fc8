import type { ErrorRequestHandler } from 'express';
import { problems } from '../domain/problems.ts';
import type { Ledger } from '../ledger/client.ts';
import { isLedgerUnavailable } from '../ledger/queries/readiness.ts';
import { recordRefusal } from '../ledger/refusals.ts';
import { principalIfAny } from './auth/principal.ts';
import { problemOf } from './problem.ts';

/**
 * Leaves evidence that an agent was refused, before it is told: why, in words of ours. What is wrong on our side is no
 * refusal. @throws whatever the ledger throws: then the agent is told that instead, and nothing was granted either way
 */
export function recordRefusalOfAgent(ledger: Pick<Ledger, 'direct' | 'evidence'>): ErrorRequestHandler {
  return async (error: unknown, _req, res, next) => {
    const principal = principalIfAny(res);
    const { slug, extensions } = problemOf(error, isLedgerUnavailable);
    if (principal?.identityId !== undefined && problems[slug].status < 500) {
      const { reason } = extensions;
      await recordRefusal(ledger, {
        chain: `identity/${principal.identityId}`,
        kind: 'step-up.refused',
        identityId: principal.identityId,
        actor: principal.id,
        reason: typeof reason === 'string' ? `${slug}/${reason}` : slug,
      });
    }
    next(error);
  };
}
