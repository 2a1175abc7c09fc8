import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider';
import { embeddedPeople, embeddedPipelines, findPerson } from './people.ts';

/**
 * An OAuth extension grant (RFC 6749 §4.5): who can read the state directory's client secret may have a token for any
 * person or pipeline of the embedded sign-in. It is how `tenure token` signs in without a browser.
 */
export const localGrantType = 'urn:tenure:grant-type:this-machine';

/** Tokens for people, for pipelines, and of people for their agents differ in audience, so that none passes for another. */
export const audiences = { people: 'tenure', pipelines: 'tenure-pipelines', forAgents: 'tenure-for-agents' } as const;

/** How long a token is accepted, in seconds: a working day. */
export const tokenSeconds = 8 * 60 * 60;
/** The same of one that is given to an agent: it is shown at once, and asking for another is one command. */
export const tokenForAgentsSeconds = 5 * 60;

interface Bearer {
  readonly subject: string;
  readonly audience: string;
  readonly seconds: number;
  readonly claims: Record<string, string | number | boolean | readonly string[]>;
}

const bearers = new WeakMap<KoaContextWithOIDC, Bearer>();

export function registerLocalGrant(provider: Provider): void {
  const parameters = ['person', 'for_agents', 'pipeline', 'triggered_by'];
  provider.registerGrantType(
    localGrantType,
    async (ctx) => {
      const { client, params } = ctx.oidc;
      if (client === undefined) throw new errors.InvalidClient('the client is not authenticated');
      const bearer = bearerFor(params ?? {});
      bearers.set(ctx, bearer);
      const token = new provider.AccessToken({
        client,
        accountId: bearer.subject,
        gty: localGrantType,
        // What ties a token to a person's consent; this grant has none to refer to.
        grantId: localGrantType,
        expiresIn: bearer.seconds,
        scope: '',
        claims: {},
      });
      token.resourceServer = new provider.ResourceServer(`urn:tenure:audience:${bearer.audience}`, {
        audience: bearer.audience,
        scope: '',
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      });
      ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: bearer.seconds };
    },
    parameters,
  );
}

/** The claims that the token under issue carries beside the registered ones. */
export function claimsOf(ctx: KoaContextWithOIDC): Bearer['claims'] {
  return bearers.get(ctx)?.claims ?? {};
}

function bearerFor(params: Record<string, unknown>): Bearer {
  const { person, for_agents: forAgents, pipeline, triggered_by: triggeredBy } = params;
  if (typeof person === 'string' && pipeline === undefined && triggeredBy === undefined)
    return forAgents === 'true' ? bearerForAgents(person) : personBearer(person);
  if (typeof pipeline === 'string' && person === undefined && forAgents === undefined) {
    return pipelineBearer(pipeline, typeof triggeredBy === 'string' ? triggeredBy : undefined);
  }
  throw new errors.InvalidRequest('give person and perhaps for_agents, or pipeline and perhaps triggered_by');
}

function personBearer(asked: string): Bearer {
  const { email, name, groups } = knownPerson(asked);
  // OpenID Connect Core 1.0 §2: asking for the token, with the secret of this machine, is the sign-in.
  const authTime = Math.floor(Date.now() / 1000);
  const claims = { email, email_verified: true, name, groups, auth_time: authTime };
  return { subject: email, audience: audiences.people, seconds: tokenSeconds, claims };
}

/** It says who the person is, and nothing of what they may. */
function bearerForAgents(asked: string): Bearer {
  const { email } = knownPerson(asked);
  return {
    subject: email,
    audience: audiences.forAgents,
    seconds: tokenForAgentsSeconds,
    claims: { email, email_verified: true },
  };
}

function pipelineBearer(asked: string, triggeredBy: string | undefined): Bearer {
  const pipeline = embeddedPipelines.find(({ name }) => name === asked);
  if (pipeline === undefined) {
    throw new errors.InvalidRequest(
      `There is no pipeline "${printable(asked)}". The pipelines: ${embeddedPipelines.map(({ name }) => name).join(', ')}.`,
    );
  }
  return {
    subject: `pipeline:${pipeline.name}`,
    audience: audiences.pipelines,
    seconds: tokenSeconds,
    claims: {
      ...pipeline.claims,
      ...(triggeredBy === undefined ? {} : { triggered_by: knownPerson(triggeredBy).email }),
    },
  };
}

function knownPerson(asked: string) {
  const person = findPerson(asked);
  if (person !== undefined) return person;
  throw new errors.InvalidRequest(
    `There is no person "${printable(asked)}". The people: ${embeddedPeople.map(({ name }) => name).join(', ')}.`,
  );
}

/** RFC 6749 §5.2 allows only printable ASCII without quotes and backslashes in a description; a terminal likes that too. */
function printable(text: string): string {
  return text.slice(0, 80).replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
}
