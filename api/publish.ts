import type { Submission } from '../domain/flow/publishing/submission.ts';
import { storePublication } from '../ledger/publications.ts';
import type { Principal } from './auth/principal.ts';
import { keyedCall } from './keyedCall.ts';
import { openedReply } from './openedReply.ts';
import { askedBy, openRequest } from './openRequest.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem } from './problem.ts';
import { checkPublication } from './publicationCheck.ts';

interface PublishCall {
  readonly principal: Principal;
  readonly params: object;
  readonly body: { readonly justification: string };
  readonly key: string;
}

/**
 * Checks what is asked, stores it past Temporal, and opens the request to publish exactly that. A repeated call finds the
 * first one's request, whatever was published since.
 * @throws Problem
 */
export async function publish(
  deps: ApiDependencies,
  operation: string,
  { principal, params, body, key }: PublishCall,
  submitted: () => Promise<{ submission: Submission; isRollback: boolean }>,
) {
  const call = keyedCall(operation, { principal, key, params, body });
  const requestId = await openRequest(deps, call, async () => {
    const { submission, isRollback } = await submitted();
    const publication = await stored(deps, submission, { author: principal.id, isRollback });
    return await deps.gateway.open({
      ...askedBy(deps, call, principal),
      kind: 'publication',
      trigger: 'person',
      justification: body.justification,
      publication,
    });
  });
  return await openedReply(deps, principal, requestId);
}

/** @returns the digest under which a sound publication is stored. @throws Problem `flow-not-sound`, `already-published` */
async function stored(
  deps: ApiDependencies,
  submission: Submission,
  asked: { author: string; isRollback: boolean },
): Promise<string> {
  const check = await checkPublication(deps, submission, asked);
  if (check.is === 'published')
    throw new Problem('already-published', 'All of this is published already, exactly so. There is nothing to do.');
  if (check.is === 'not-sound') {
    const shown = check.findings.map((finding) => finding.shown);
    throw new Problem(
      'flow-not-sound',
      `These flows cannot be published, and nothing was stored.\n\n${shown.join('\n\n')}\n\nCorrect them, and send them again.`,
      { extensions: { findings: check.findings } },
    );
  }
  const { proposal, documents, report } = check;
  await storePublication(deps.ledger.prisma, { proposal, documents, report });
  return proposal.digest;
}
