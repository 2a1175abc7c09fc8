import type { Request } from 'express';
import { decodeJwt } from 'jose';
import { invalidRequest, Problem } from '../problem.ts';
import { unauthenticated } from './oidcProvider.ts';

/** Long tokens cost a parse before they are known to be false. */
const longestToken = 16_384;

/** RFC 7523 §2.2. */
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/**
 * The token that a call is authenticated with: `Authorization: Bearer`, or, in a form of OAuth 2.0, the parameter
 * `client_assertion` (RFC 7523 §2.2). Nothing of it is verified yet.
 * @throws Problem `unauthenticated`; `invalid-request` for both at once (RFC 6749 §2.3)
 */
export function presentedToken(req: Request): string {
  const form: unknown = req.is('application/x-www-form-urlencoded') ? req.body : undefined;
  const assertion = clientAssertion((form ?? {}) as Record<string, string>);
  if (assertion === undefined) return bearerToken(req);
  if (req.headersDistinct['authorization'] === undefined) return assertion;
  throw invalidRequest([
    {
      field: 'body.client_assertion',
      message: 'must not be sent beside the header Authorization; send one of the two',
    },
  ]);
}

function clientAssertion(form: Readonly<Record<string, string>>): string | undefined {
  const { client_assertion: assertion, client_assertion_type: type, client_id: client } = form;
  if (assertion === undefined && type === undefined) return undefined;
  if (assertion === undefined || type !== assertionType)
    throw unauthenticated(`Send client_assertion together with client_assertion_type=${assertionType}.`);
  if (assertion.length > longestToken)
    throw unauthenticated('The client_assertion is longer than any that is accepted.');
  // RFC 7521 §4.2: a client_id is not needed, and must name the same client. The assertion itself is verified afterwards.
  if (client !== undefined && client !== subjectOf(assertion))
    throw unauthenticated('The client_id is not the subject of the client_assertion. Leave it out, or correct it.');
  return assertion;
}

function subjectOf(assertion: string): string | undefined {
  try {
    return decodeJwt(assertion).sub;
  } catch (cause) {
    throw unauthenticated('The client_assertion is not a well-formed signed JWT. Make a new one.', cause);
  }
}

function bearerToken(req: Request): string {
  const sent = req.headersDistinct['authorization'] ?? [];
  const [header] = sent;
  if (header === undefined)
    throw new Problem(
      'unauthenticated',
      'The header Authorization is missing. Send "Authorization: Bearer <token>" with a token of a configured provider.',
      { headers: { 'WWW-Authenticate': 'Bearer realm="tenure"' } },
    );
  const token = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1];
  if (sent.length > 1 || token === undefined || token.length > longestToken)
    throw unauthenticated('The header Authorization must be sent once, as "Bearer <token>".');
  return token;
}
