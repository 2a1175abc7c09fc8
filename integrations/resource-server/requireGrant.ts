import type { Request, RequestHandler, Response } from 'express';
import { Challenge, type Need, sendChallenge, sendUnavailable } from './challenge.ts';
import { DpopProofRefused, type UseOnce, verifyDpopProof } from './dpopProof.ts';
import { CheckUnavailable, type Grant, GrantRefused, grantVerifier } from './grant.ts';
import { introspectionClient } from './introspection.ts';
import { onceInMemory } from './onceInMemory.ts';

export interface GrantRules {
  /** The Tenure installation that signs grants: its `publicUrl`, to the letter. */
  readonly issuer: string;
  /** This tool, as `tools` of the installation's tenure.yaml names it, and its audience there. */
  readonly tool: string;
  readonly audience: string;
  /**
   * Where clients call this app, without the path that the app itself routes: `https://search.example.com`. Proofs are
   * compared with it; headers that a client or a proxy may set (Host, X-Forwarded-*) are never asked.
   */
  readonly publicUrl: string;
  /**
   * What this call needs, read from the call itself; `'nothing'` lets it pass without a grant. Where that lies in the body,
   * a body parser runs first. The handler must serve exactly what was read here.
   */
  needs(req: Request): Need | 'nothing' | Promise<Need | 'nothing'>;
  /**
   * Whether the issuer is asked, at each call, if the grant still stands. A grant that is not introspected is good until it
   * expires, whatever is frozen or revoked meanwhile.
   */
  readonly introspect:
    | 'never'
    | {
        /** `all`, or those of `<tool>:<action>` for which it is asked. */
        readonly scopes: 'all' | readonly string[];
        /** What this server authenticates with at the issuer: a token of its pipeline there. */
        bearer(): string | Promise<string>;
      };
  /** Where several processes answer for one address: a memory that they share. In this process unless given. */
  readonly useOnce?: UseOnce;
  /** Address of this server's metadata (RFC 9728), told in challenges. */
  readonly resourceMetadata?: string;
  /** Told why a call was answered with 503. `console.error` unless given. */
  report?(outage: Error): void;
}

/** A long token costs a parse before it is known to be false. */
const longestTokenCharacters = 8_192;

const grants = new WeakMap<Response, Grant>();

/**
 * Express middleware: a call passes only with a grant of Tenure for exactly what it needs, which is an RFC 9068 token of the
 * issuer for this audience, sent as `Authorization: DPoP <token>` with a fresh proof by the key that it is bound to
 * (RFC 9449), and still standing where that is asked. Everything else is answered with a challenge that names the step-up to
 * ask for (RFC 9470), or with 503 while it cannot be known. What `needs` throws goes to the app's error handler.
 * @throws TypeError for rules under which nothing could be trusted
 */
export function requireGrant(rules: GrantRules): RequestHandler {
  checkRules(rules);
  const verifier = grantVerifier(rules);
  const useOnce = rules.useOnce ?? onceInMemory();
  const { introspect, report = (outage: Error) => console.error(outage) } = rules;
  const introspection =
    introspect === 'never' ? undefined : introspectionClient({ ...rules, bearer: introspect.bearer });

  async function verified(req: Request): Promise<{ token: string; grant: Grant }> {
    const token = soleToken(req);
    const grant = await verifier.verify(token);
    await verifyDpopProof(req.headersDistinct['dpop'], {
      method: req.method,
      url: addressOf(req, rules.publicUrl),
      accessToken: token,
      boundTo: grant.boundTo,
      useOnce,
    });
    return { token, grant };
  }

  async function admit(req: Request, need: Need): Promise<Grant> {
    const { token, grant } = await verified(req);
    const scope = `${rules.tool}:${need.action}`;
    requireCover(grant, need, scope);
    const isAsked = introspect !== 'never' && (introspect.scopes === 'all' || introspect.scopes.includes(scope));
    if (isAsked && (await introspection?.isActive(token)) !== true)
      throw new GrantRefused(
        'The grant stands no longer: it was revoked, its agent is frozen, or this server may not ask.',
      );
    return grant;
  }

  return async (req, res, next) => {
    const need = await rules.needs(req);
    if (need === 'nothing') return next();
    requireComplete(need);
    try {
      grants.set(res, await admit(req, need));
    } catch (cause) {
      const challenge = challengeOf(cause);
      if (challenge !== undefined) return sendChallenge(res, challenge, need, rules);
      const outage = cause instanceof Error ? cause : new Error('The check of a grant failed.', { cause });
      report(outage);
      return sendUnavailable(
        res,
        outage instanceof CheckUnavailable
          ? `${outage.message} No call is let in until it is known; try again.`
          : 'The grant cannot be checked now. No call is let in until it can; try again.',
      );
    }
    next();
  };
}

/** The grant that let this call in. @throws TypeError where no `requireGrant` let it in with one */
export function grantOf(res: Response): Grant {
  const grant = grants.get(res);
  if (grant === undefined) throw new TypeError('No grant let this call in. Put requireGrant in front of its handler.');
  return grant;
}

function checkRules({ issuer, publicUrl, tool, introspect }: GrantRules): void {
  for (const [name, address] of Object.entries({ issuer, publicUrl }))
    if (!URL.canParse(address) || !isTrustworthy(new URL(address)))
      throw new TypeError(`${name} must be an https address, or one of this machine: ${address}`);
  // A scope that no call has would leave the calls that were meant without introspection.
  if (introspect !== 'never' && introspect.scopes !== 'all')
    for (const scope of introspect.scopes)
      if (!scope.startsWith(`${tool}:`))
        throw new TypeError(`introspect.scopes: ${scope} is no scope of tool ${tool}.`);
}

/** Keys and answers that decide who is let in come from there. */
function isTrustworthy({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));
}

/** Scope tokens of RFC 6749 §3.3. A need that lacks a part would be covered by a grant that lacks it. */
function requireComplete({ action, resource, workspace, person }: Need): void {
  if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(action))
    throw new TypeError('needs: the action must be a word of printable ASCII without quotation marks.');
  for (const part of [resource, workspace])
    if (typeof part !== 'string' || part === '') throw new TypeError('needs: resource and workspace must be named.');
  if (typeof person === 'object' && !(Number.isInteger(person.maxAgeSeconds) && person.maxAgeSeconds >= 0))
    throw new TypeError('needs: person.maxAgeSeconds must be whole seconds, 0 or more.');
}

/** RFC 9449 §7.1. A token in the query or in the body is not looked for (RFC 9700 §4.3.2). */
function soleToken(req: Request): string {
  const [header, ...further] = req.headersDistinct['authorization'] ?? [];
  if (header === undefined)
    throw new Challenge(
      undefined,
      'This call needs a grant. Ask for the step-up, then send "Authorization: DPoP <token>".',
    );
  if (further.length > 0) throw new Challenge('invalid_request', 'The header Authorization must be sent once.');
  if (header.length > longestTokenCharacters)
    throw new Challenge(
      'invalid_request',
      `The header Authorization is longer than ${longestTokenCharacters} characters.`,
    );
  const token = /^DPoP ([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1];
  if (token === undefined)
    throw new Challenge('invalid_token', 'Grants are bound to a key: send "Authorization: DPoP <token>" and a proof.');
  return token;
}

/** The request target is a path (RFC 9112 §3.2.1): one that names a host would choose the address by itself. */
function addressOf({ originalUrl }: Request, publicUrl: string): string {
  const [path = ''] = originalUrl.split('?');
  if (!/^\/[\x21-\x5b\x5d-\x7e]*$/.test(path))
    throw new Challenge('invalid_request', 'The request target must be a path, of characters that a URI may have.');
  return publicUrl.replace(/\/$/, '') + path;
}

/** To the letter: patterns are the business of the agent's policy, which was checked before the grant was signed. */
function requireCover(grant: Grant, need: Need, scope: string): void {
  if (!grant.scopes.includes(scope) || grant.resource !== need.resource || grant.workspace !== need.workspace)
    throw new Challenge('insufficient_scope', 'The grant is for another action, resource or workspace than this call.');
  const { person } = need;
  if (person === undefined) return;
  if (grant.onBehalfOf?.isVerified !== true)
    throw new Challenge(
      'insufficient_user_authentication',
      'This call needs a grant for a person who showed it by a token of their own.',
    );
  if (typeof person === 'object' && !isFresh(grant.onBehalfOf.authenticatedAt, person.maxAgeSeconds))
    throw new Challenge(
      'insufficient_user_authentication',
      `This call needs a person who signed in at most ${person.maxAgeSeconds} seconds ago.`,
    );
}

/** One that is not known is too old. */
function isFresh(authenticatedAt: Date | undefined, maxAgeSeconds: number): boolean {
  return authenticatedAt !== undefined && Date.now() - authenticatedAt.getTime() <= maxAgeSeconds * 1000;
}

function challengeOf(cause: unknown): Challenge | undefined {
  if (cause instanceof Challenge) return cause;
  if (cause instanceof GrantRefused) return new Challenge('invalid_token', cause.message, { cause });
  // RFC 9449 §7.1: another key than the token's is a fault of the token; every other fault is the proof's.
  if (cause instanceof DpopProofRefused)
    return new Challenge(cause.reason === 'wrong-key' ? 'invalid_token' : 'invalid_dpop_proof', cause.message, {
      cause,
    });
  return undefined;
}
