import type { Request, RequestHandler, Response } from 'express';
import type { z } from 'zod';
import type { Role } from '../configuration/configurationSchema.ts';
import type { ProblemSlug } from '../domain/problems.ts';
import { type Principal, principalOf } from './auth/principal.ts';
import { readIdempotencyKey } from './idempotencyKey.ts';
import { type FieldFault, invalidRequest, Problem } from './problem.ts';

/** Who may call a route at all; what more is needed for one object, the handler asks (`auth/standing.ts`). */
export type Access = 'anyone' | { readonly kinds: readonly Principal['kind'][]; readonly roles?: readonly Role[] };

/** What a handler gets: everything in it has passed its schema. */
export interface Call<P, Q, B> {
  readonly principal: Principal;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** The Idempotency-Key; empty for reads, which need none. */
  readonly key: string;
  /** @returns what ends when the client has gone */
  readonly clientGone: () => AbortSignal;
  /** Every value of a header that the route declares. */
  readonly headers: Request['headersDistinct'];
}

export interface Reply<R> {
  readonly body: R;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The other answer of a route that has two. */
export interface OtherReply<O> extends Reply<O> {
  readonly isOther: true;
}

export interface ReplyDefinition<R extends z.ZodType> {
  readonly status: 200 | 201 | 202;
  readonly description: string;
  readonly schema: R;
  readonly example: z.input<R>;
  readonly headers?: Readonly<Record<string, string>>;
  /** When it is not JSON: the body is a text of this type, sent as it is. */
  readonly media?: 'image/svg+xml';
}

/** A route is its documentation too: `openApi.ts` makes the reference from exactly what is mounted here. */
export interface RouteDefinition<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodObject,
  R extends z.ZodType,
  O extends z.ZodType = z.ZodNever,
> {
  readonly method: 'get' | 'post';
  /** OpenAPI form: `/v1/requests/{requestId}`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description: string;
  readonly access: Access;
  readonly params: P;
  readonly query: Q;
  /** Of a POST that only asks, since its question does not fit an address: it takes no Idempotency-Key. */
  readonly writesNothing?: true;
  /** It analyses flows: it counts against the principal's analyses too. */
  readonly isAnalysis?: true;
  /**
   * What stops harm: it has connections, a lane and limits of its own, its sign-in too (promise 14). It waits for nothing but
   * the ledger, and does little. `of-responders`: by anybody else it is asked for, and is among what is ordinary.
   */
  readonly isSafety?: true | 'of-responders';
  /** Whether the process lives or serves: answered under any flood, counted nowhere. It asks the ledger over the connections of safety commands. */
  readonly isHealth?: true;
  /** With `waitSeconds` it waits for a change: then it is among the long-polls, not among what is under way. */
  readonly isLongPoll?: true;
  /** Its resource servers ask for every call of theirs: it counts against a wider limit. */
  readonly isFrequent?: true;
  /** It stops, takes away or holds up: who is known by an account that nobody vouches for may call it too. */
  readonly takesUnvouched?: true;
  /** It serves a value that gives access: not to such an account, although it only reads. */
  readonly servesSecrets?: true;
  /** Its body is a form, as clients of OAuth 2.0 send it; they know of no Idempotency-Key, and a repeat changes nothing. */
  readonly form?: true;
  /** Agents call it: each refusal of one leaves evidence. */
  readonly isOfAgents?: true;
  /** Headers that it takes besides those of every route, and what each is for. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
  /** When it takes a larger body than others. */
  readonly largestBodyBytes?: number;
  /** Absent: the route takes no body. */
  readonly body?: B;
  readonly bodyExample?: z.input<B>;
  readonly reply: ReplyDefinition<R>;
  /** What is answered instead, with another status, when that is what came of it. */
  readonly otherReply?: ReplyDefinition<O>;
  readonly problems: readonly ProblemSlug[];
  handle(call: Call<z.output<P>, z.output<Q>, z.output<B>>): Promise<Reply<z.output<R>> | OtherReply<z.output<O>>>;
}

/** A route whose schemas' types have done their work; `answer` validates, asks the handler and sends. */
export interface Route
  extends Omit<RouteDefinition<z.ZodObject, z.ZodObject, z.ZodObject, z.ZodType, z.ZodType>, 'handle'> {
  readonly answer: RequestHandler;
}

export function defineRoute<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodObject,
  R extends z.ZodType,
  O extends z.ZodType = z.ZodNever,
>(definition: RouteDefinition<P, Q, B, R, O>): Route {
  const { handle, ...described } = definition;
  return {
    ...described,
    async answer(req, res) {
      const principal = principalOf(res);
      requireAccess(principal, definition.access);
      if (principal.isUnvouched) requireSafe(principal, definition);
      const key = takesKey(definition) ? readIdempotencyKey(req) : '';
      const faults: FieldFault[] = [];
      const params = read(definition.params, req.params, 'path', faults);
      const query = read(definition.query, req.query, 'query', faults);
      const body = readBody(definition.body, req, faults);
      if (params === undefined || query === undefined || body === undefined) throw invalidRequest(faults);
      const reply = await handle.call(definition, {
        principal,
        params,
        query,
        body,
        key,
        clientGone: () => disconnection(res),
        headers: req.headersDistinct,
      });
      const answered = 'isOther' in reply ? (definition.otherReply ?? definition.reply) : definition.reply;
      res.status(answered.status).set(reply.headers ?? {});
      // As `res.json` would, without looking each time at settings that are never made here.
      if (answered.media !== undefined) res.type(answered.media).send(reply.body);
      else res.setHeader('Content-Type', 'application/json; charset=utf-8').end(JSON.stringify(reply.body));
    },
  };
}

/** Whether a call of this route is a write, which is named by an Idempotency-Key. */
export function takesKey({ method, writesNothing, form }: Pick<Route, 'method' | 'writesNothing' | 'form'>): boolean {
  return method === 'post' && writesNothing !== true && form !== true;
}

/** Reading, and what stops things: nothing else, whatever routes there will be. */
function requireSafe(
  { id }: Principal,
  { method, takesUnvouched, servesSecrets }: Pick<Route, 'method' | 'takesUnvouched' | 'servesSecrets'>,
): void {
  if (takesUnvouched === true || (method === 'get' && servesSecrets !== true)) return;
  throw new Problem(
    'account-not-vouched',
    `Nobody vouches that this account is ${id}'s, so it may read, freeze, revoke, pause and cancel, and nothing else. Declare "domains" of its provider in tenure.yaml, or let two administrators link it: tenure people link.`,
  );
}

function requireAccess(principal: Principal, access: Access): void {
  if (access === 'anyone') return;
  if (!access.kinds.includes(principal.kind))
    throw new Problem(
      'forbidden',
      `This is for ${access.kinds.join(' and ')} principals; ${principal.id} is a ${principal.kind}. Sign in as one of those.`,
    );
  const { roles } = access;
  if (roles !== undefined && !roles.some((role) => principal.roles.includes(role)))
    throw new Problem(
      'forbidden',
      `${principal.id} has none of the roles ${roles.join(', ')}. An administrator grants roles in tenure.yaml.`,
    );
}

function read<S extends z.ZodObject>(
  schema: S,
  value: unknown,
  part: string,
  faults: FieldFault[],
): z.output<S> | undefined {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  faults.push(...parsed.error.issues.flatMap((issue) => faultsOf(issue, part)));
  return undefined;
}

function readBody<S extends z.ZodObject>(
  schema: S | undefined,
  req: Request,
  faults: FieldFault[],
): z.output<S> | undefined {
  const sent: unknown = req.body;
  if (schema !== undefined) return read(schema, sent ?? {}, 'body', faults);
  if (sent === undefined || (typeof sent === 'object' && sent !== null && Object.keys(sent).length === 0))
    return {} as z.output<S>;
  faults.push({ field: 'body', message: 'must be empty: this route takes none' });
  return undefined;
}

/** Zod's messages name types and limits, never the value that was sent. */
function faultsOf(issue: z.core.$ZodIssue, part: string): FieldFault[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      field: [part, ...issue.path, key.slice(0, 100)].join('.'),
      message: 'is not a known field; remove it',
    }));
  return [
    { field: [part, ...issue.path].join('.'), message: issue.message.charAt(0).toLowerCase() + issue.message.slice(1) },
  ];
}

function disconnection(res: Response): AbortSignal {
  const controller = new AbortController();
  const closed = () => {
    if (!res.writableFinished) controller.abort();
  };
  if (res.closed) closed();
  else res.once('close', closed);
  return controller.signal;
}
