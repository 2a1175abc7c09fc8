import type { StepUpOrder } from '../../contracts/open.ts';
import { DpopProofRefused, verifyDpopProof } from '../../integrations/resource-server/dpopProof.ts';
import { isActivePerson } from '../../ledger/queries/stepUps.ts';
import { useOnce } from '../../ledger/singleUse.ts';
import type { Principal } from '../auth/principal.ts';
import { type ShownPerson, subjectTokens } from '../auth/subjectToken.ts';
import { keyedCall } from '../keyedCall.ts';
import { personNamed } from '../namedPeople.ts';
import { askedBy, openRequest } from '../openRequest.ts';
import type { ApiDependencies } from '../ports.ts';
import { Problem } from '../problem.ts';
import type { StepUpOrderBody } from '../routes/stepUps.ts';

/** What an agent sent. */
export interface SentStepUp {
  readonly principal: Principal;
  readonly identityId: string;
  readonly body: StepUpOrderBody;
  readonly key: string;
  /** Every value of the header DPoP. */
  readonly dpop: readonly string[] | undefined;
}

/** The person an agent acts for. */
interface Behalf extends ShownPerson {
  readonly isVerified: boolean;
}

/**
 * Opens step-ups through their workflow. Tokens and proofs stay here: what goes on is who the person is, and the
 * thumbprint of the key.
 * @returns the id of the request: a new one, or that of the first call under its key
 */
export function stepUpOpener(deps: ApiDependencies): (sent: SentStepUp) => Promise<string> {
  const readSubjectToken = subjectTokens(deps);

  async function behalfOf(asked: StepUpOrderBody['onBehalfOf']): Promise<Behalf | undefined> {
    if (asked === undefined) return undefined;
    const isVerified = 'token' in asked;
    const shown: ShownPerson = isVerified
      ? await readSubjectToken(asked.token)
      : { person: await personNamed(deps, asked.person) };
    const { person } = shown;
    if (await isActivePerson(deps.ledger.prisma, person)) return { ...shown, isVerified };
    throw new Problem(
      'person-inactive',
      `${person} is not an active person of the directory: nothing is granted for them.`,
    );
  }

  return async ({ principal, identityId, body, key, dpop }) => {
    const { tool, action, resource, workspace, justification, ttl } = body;
    const audience = audienceOf(deps, tool, action);
    const jkt = await possessedKey(deps, dpop);
    const behalf = await behalfOf(body.onBehalfOf);
    await deps.grantSigner.requireSigner();
    const asked = { tool, action, resource, workspace, ...(ttl === undefined ? {} : { ttl }) };
    const call = keyedCall('step-up', {
      ...{ principal, key, params: {} },
      // When they signed in is left out: a repeat may come with a newer token of the same person.
      body: {
        ...asked,
        justification,
        jkt,
        behalf: behalf && { person: behalf.person, isVerified: behalf.isVerified },
      },
    });
    const order: StepUpOrder = {
      ...askedBy(deps, call, principal),
      ...(behalf === undefined ? {} : { onBehalfOf: behalf.person }),
      kind: 'step-up',
      identityId,
      trigger: 'person',
      justification,
      stepUp: {
        ...{ ...asked, audience, jkt, isOnBehalfVerified: behalf?.isVerified ?? false },
        ...(behalf?.authenticatedAt === undefined ? {} : { authenticatedAt: behalf.authenticatedAt }),
      },
    };
    return openRequest(deps, call, () => deps.gateway.open(order));
  };
}

function audienceOf({ configuration: { tools } }: ApiDependencies, name: string, action: string): string {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool?.actions.includes(action)) return tool.audience;
  const what = tool === undefined ? `such tool; its tools are ${Object.keys(tools).join(', ')}` : `such action of it`;
  throw new Problem('unknown-tool', `tenure.yaml has no ${what}. Ask for what it declares.`);
}

/** @returns the thumbprint of the key that the caller showed to hold */
async function possessedKey(
  { configuration: { publicUrl }, ledger, now }: ApiDependencies,
  header: readonly string[] | undefined,
): Promise<string> {
  try {
    const { thumbprint } = await verifyDpopProof(header, {
      method: 'POST',
      url: `${publicUrl}/v1/step-ups`,
      useOnce: (value, until) => useOnce(ledger.direct, { purpose: 'dpop-proof', value, until }),
      now: now(),
    });
    return thumbprint;
  } catch (error) {
    if (!(error instanceof DpopProofRefused)) throw error;
    throw new Problem('invalid-dpop-proof', error.message, { extensions: { reason: error.reason }, cause: error });
  }
}
