import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { sealerOf } from '../setup/sealed.ts';
import { type ApiFixture, apiFixture } from './apiFixture.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await apiFixture({ lives: 'file' });
});

const Media = z.looseObject({ schema: z.record(z.string(), z.unknown()), example: z.unknown() });
const Operation = z.looseObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string(),
  requestBody: z.looseObject({ content: z.record(z.string(), Media) }).optional(),
  responses: z.record(z.string(), z.looseObject({ content: z.record(z.string(), Media) })),
});
const Document = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.enum(['get', 'post']), Operation.optional())),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

async function operations() {
  const document = (await api.send(undefined, '/openapi.json')).as(Document);
  const found = Object.entries(document.paths).flatMap(([path, ofPath]) =>
    Object.entries(ofPath).flatMap(([method, operation]) =>
      operation === undefined ? [] : [{ path, method, operation }],
    ),
  );
  return { document, found };
}

/** The resources of the HTTP API as the design names them; a route that is missing here or there fails. */
const resources = [
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /healthz',
  'GET /readyz',
  'GET /v1/evidence',
  'GET /v1/evidence/checkpoints',
  'GET /v1/evidence/proofs',
  'GET /v1/evidence/requests/{requestId}',
  'GET /v1/flows',
  'GET /v1/flows/{name}',
  'GET /v1/flows/{name}/paths',
  'GET /v1/flows/{name}/paths.svg',
  'GET /v1/flows/{name}/versions',
  'GET /v1/freezes',
  'GET /v1/freezes/preview',
  'GET /v1/freezes/{freezeId}',
  'GET /v1/freezes/{freezeId}/reviews',
  'GET /v1/freezes/{freezeId}/revocations',
  'GET /v1/freezes/{freezeId}/revocations/{massRevocationId}',
  'GET /v1/freezes/{freezeId}/revocations/{massRevocationId}/credentials',
  'GET /v1/identities',
  'GET /v1/identities/{identityId}',
  'GET /v1/identities/{identityId}/credentials',
  'GET /v1/identities/{identityId}/grants',
  'GET /v1/identities/{identityId}/secret',
  'GET /v1/identities/{identityId}/timeline',
  'GET /v1/people',
  'GET /v1/people/{personId}',
  'GET /v1/reconciliations',
  'GET /v1/reconciliations/findings',
  'GET /v1/requests',
  'GET /v1/requests/{requestId}',
  'GET /v1/step-ups/{stepUpId}',
  'POST /oauth/introspect',
  'POST /oauth/revoke',
  'POST /oauth/token',
  'POST /v1/flows',
  'POST /v1/flows/diff',
  'POST /v1/flows/plan',
  'POST /v1/flows/simulate',
  'POST /v1/flows/{name}/rollback',
  'POST /v1/flows/{name}/versions',
  'POST /v1/freezes',
  'POST /v1/freezes/{freezeId}/lift',
  'POST /v1/freezes/{freezeId}/reviews',
  'POST /v1/freezes/{freezeId}/revocations',
  'POST /v1/freezes/{freezeId}/revocations/{massRevocationId}/pause',
  'POST /v1/freezes/{freezeId}/revocations/{massRevocationId}/resume',
  'POST /v1/identities',
  'POST /v1/identities/{identityId}/acknowledgements',
  'POST /v1/identities/{identityId}/changes',
  'POST /v1/identities/{identityId}/grants/revocation',
  'POST /v1/identities/{identityId}/reviews',
  'POST /v1/identities/{identityId}/revocation',
  'POST /v1/identities/{identityId}/rotations',
  'POST /v1/keys/verify',
  'POST /v1/people/{personId}/accounts',
  'POST /v1/reconciliations',
  'POST /v1/reconciliations/findings/{findingId}/accept',
  'POST /v1/reconciliations/resume',
  'POST /v1/requests/{requestId}/amendments',
  'POST /v1/requests/{requestId}/cancel',
  'POST /v1/requests/{requestId}/decisions',
  'POST /v1/requests/{requestId}/pause',
  'POST /v1/requests/{requestId}/proofs',
  'POST /v1/requests/{requestId}/resolution',
  'POST /v1/requests/{requestId}/resume',
  'POST /v1/requests/{requestId}/retry',
  'POST /v1/requests/{requestId}/rollback',
  'POST /v1/step-ups',
];

test('the reference is OpenAPI 3.1 and names every resource, each with its own operation id', async () => {
  const { document, found } = await operations();
  expect(document.openapi).toBe('3.1.0');
  expect(found.map(({ path, method }) => `${method.toUpperCase()} ${path}`).sort()).toEqual(resources);
  expect(new Set(found.map(({ operation }) => operation.operationId)).size).toBe(found.length);
});

test('every documented resource is served: none answers that there is nothing there', async () => {
  const token = await api.tokenOf('admin');
  for (const { path, method } of (await operations()).found) {
    const answer = await api.send(token, path.replaceAll(/\{\w+\}/g, '~'), method === 'post' ? { body: {} } : {});
    expect([path, answer.text.includes('There is nothing at')]).toEqual([path, false]);
  }
});

test('every example is valid under the schema that it illustrates', async () => {
  const { document, found } = await operations();
  const ajv = new Ajv.default({ strict: false });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'reference', ...document });
  for (const { path, operation } of found) {
    const media = [operation.requestBody, ...Object.values(operation.responses)].flatMap((part) =>
      Object.values(part?.content ?? {}),
    );
    for (const { schema, example } of media) {
      const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"reference#/components'));
      const isValid = ajv.validate(resolved, example);
      expect([path, operation.operationId, ajv.errors ?? [], isValid]).toEqual([path, operation.operationId, [], true]);
    }
  }
});

test('unknown fields are refused by the documented schemas too', async () => {
  const { document } = await operations();
  expect(document.components.schemas['Onboarding']).toMatchObject({ additionalProperties: false });
});

test('/docs shows the reference with nothing fetched from elsewhere', async () => {
  const page = await api.send(undefined, '/docs');
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
  const linked = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address);
  expect(linked.filter((address) => !address.startsWith('/docs/'))).toEqual([]);
  for (const address of linked) expect([address, (await api.send(undefined, address)).status]).toEqual([address, 200]);
});

test('health is open to anyone; readiness says what is missing', async () => {
  expect((await api.send(undefined, '/healthz')).status).toBe(200);
  await sealerOf(api.ledger).seal();
  expect(JSON.parse((await api.send(undefined, '/readyz')).text)).toEqual({
    status: 'ready',
    database: 'reachable',
    migrations: 'applied',
    temporal: 'reachable',
    ledger: 'acting',
    evidence: 'sealed',
  });
});

test('without Temporal the API is degraded and still serves, since a freeze must get through', async () => {
  api.gateway.mode = 'down';
  const answer = await api.send(undefined, '/readyz');
  api.gateway.mode = 'up';
  expect([answer.status, JSON.parse(answer.text)]).toEqual([
    200,
    {
      status: 'degraded',
      database: 'reachable',
      migrations: 'applied',
      temporal: 'unreachable',
      ledger: 'acting',
      evidence: 'sealed',
    },
  ]);
});

test('without the database, or with an older schema, the API is not ready', async () => {
  const own = await apiFixture();
  await own.ledger.prisma.$executeRawUnsafe(`UPDATE "_prisma_migrations" SET "rolled_back_at" = now()`);
  expect([(await own.send(undefined, '/readyz')).status, (await own.send(undefined, '/readyz')).slug]).toEqual([
    503,
    'not-ready',
  ]);
});

test('answers carry the headers that keep a browser from doing anything with them', async () => {
  const { headers } = await api.as('owner', '/v1/freezes');
  expect(headers.get('content-security-policy')).toBe(
    "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'",
  );
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('x-powered-by')).toBeNull();
});
