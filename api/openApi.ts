import {
  createDocument,
  type oas31,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { type ProblemSlug, problems, problemType } from '../domain/problems.ts';
import { ProblemDocument } from './representations/problem.ts';
import { type Route, takesKey } from './route.ts';

const idempotencyKeyHeader: oas31.ParameterObject = {
  in: 'header',
  name: 'Idempotency-Key',
  required: true,
  description:
    "A value of your own (a UUID, say), the same on every retry of this call: the repeat gets the first call's answer. Another body under the same key is refused.",
  schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,200}$' },
  example: '0b6f2f0e-6d0c-4a3e-9a51-3f7b2f1f8f10',
};

/** What any route may answer, besides its own problems. */
const alwaysPossible: readonly ProblemSlug[] = ['invalid-request', 'too-many-requests', 'internal', 'unavailable'];
const withSignIn: readonly ProblemSlug[] = ['unauthenticated', 'forbidden', 'person-inactive', 'sign-in-unavailable'];
const withBody: readonly ProblemSlug[] = ['too-large', 'unsupported-media-type'];
const withKey: readonly ProblemSlug[] = ['key-required', 'key-reused'];

/** OpenAPI 3.1 of exactly the routes that are mounted, from the schemas that validate. */
export function openApiDocument(routes: readonly Route[], publicUrl: string): object {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) };
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Tenure',
      version: '1.0.0',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'The whole life of non-human identities: onboarding, rotation, revocation, with approval and evidence. Errors are RFC 9457 problems; ' +
        'lists are pages (`limit`, `cursor` → `items`, `nextCursor`); every write takes an `Idempotency-Key`.',
    },
    servers: [{ url: publicUrl }],
    security: [{ bearer: [] }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A token of a provider listed under `oidc` in tenure.yaml.',
        },
      },
    },
    paths,
  });
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  const { operationId, tag, summary, description, access, body, bodyExample, reply } = route;
  const who =
    access === 'anyone'
      ? 'Open to anyone.'
      : `For ${access.kinds.join(' and ')} principals${access.roles === undefined ? '' : ` with one of the roles ${access.roles.join(', ')}`}.`;
  return {
    operationId,
    tags: [tag],
    summary,
    description: `${description}\n\n${who}`,
    ...(access === 'anyone' ? { security: [] } : {}),
    requestParams: { path: route.params, query: route.query },
    parameters: [...(takesKey(route) ? [idempotencyKeyHeader] : []), ...ownHeaders(route)],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              [route.form === true ? 'application/x-www-form-urlencoded' : 'application/json']: {
                schema: body,
                ...(bodyExample === undefined ? {} : { example: bodyExample }),
              },
            },
          },
        }),
    responses: {
      ...replyResponse(reply),
      ...(route.otherReply === undefined ? {} : replyResponse(route.otherReply)),
      ...problemResponses(route),
    },
  };
}

function ownHeaders({ requestHeaders = {} }: Route): oas31.ParameterObject[] {
  return Object.entries(requestHeaders).map(([name, description]) => ({
    ...{ in: 'header', name, required: true, description },
    schema: { type: 'string' },
  }));
}

function replyResponse({
  status,
  description,
  schema,
  example,
  headers,
  media,
}: Route['reply']): ZodOpenApiResponsesObject {
  const described = { 'X-Request-Id': 'The id of this HTTP request in the log.', ...headers };
  return {
    [status]: {
      description,
      content: { [media ?? 'application/json']: { schema, example } },
      headers: Object.fromEntries(
        Object.entries(described).map(([name, text]) => [name, { description: text, schema: { type: 'string' } }]),
      ),
    },
  };
}

function problemResponses(route: Route): ZodOpenApiResponsesObject {
  const { access, method, problems: own } = route;
  const slugs = new Set([
    ...alwaysPossible,
    ...(access === 'anyone' ? [] : withSignIn),
    ...(method === 'post' ? withBody : []),
    ...(takesKey(route) ? withKey : []),
    ...own,
  ]);
  const byStatus = Map.groupBy(slugs, (slug) => problems[slug].status);
  return Object.fromEntries(
    [...byStatus]
      .sort(([one], [other]) => one - other)
      .map(([status, ofStatus]) => [
        status,
        {
          description: ofStatus.map((slug) => `\`${slug}\`: ${problems[slug].title}.`).join('\n\n'),
          content: {
            'application/problem+json': { schema: ProblemDocument, example: exampleOf(ofStatus[0] ?? 'internal') },
          },
        },
      ]),
  );
}

function exampleOf(slug: ProblemSlug) {
  const { status, title } = problems[slug];
  return {
    type: problemType(slug),
    title,
    status,
    detail: 'What happened, to which object, and what to do next.',
    instance: 'urn:tenure:http-request:7c9e6679-7425-40de-944b-e07fc1f90ae7',
  };
}
