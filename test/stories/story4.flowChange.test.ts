import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pathConditions } from '../../domain/flow/analysis/conditions.ts';
import { diffFlows } from '../../domain/flow/analysis/diff.ts';
import { pathsOfFlows } from '../../domain/flow/analysis/paths.ts';
import { pathInWords } from '../../domain/flow/analysis/pathWords.ts';
import { parseFlow } from '../../domain/flow/parse.ts';
import { type TestInstallation, testInstallation } from '../setup/installation.ts';
import { type InstallationApi, installationApi } from '../setup/installationApi.ts';
import { onboardingOrder, opened } from '../setup/orders.ts';

/**
 * A security reviewer reads the flow, not code, and sees that every onboarding and revocation path matches policy; a change
 * that widens access cannot pass unseen.
 */

let installation: TestInstallation;
let api: InstallationApi;
let stopWorker: () => Promise<void>;

beforeAll(async () => {
  installation = await testInstallation();
  stopWorker = await installation.startWorker();
  api = await installationApi(installation);
}, 120_000);
afterAll(async () => {
  await api?.close();
  await stopWorker?.();
  await installation?.close();
});

const shipped = (name: string) => readFileSync(new URL(`../../flows/${name}`, import.meta.url), 'utf8');
const production = shipped('onboarding-production-service-account.flow.yaml');

interface RequestView {
  readonly id: string;
  readonly state: string;
  readonly reason: string | null;
  readonly revision: number;
  readonly digest: string;
  readonly flow: { readonly name: string; readonly digest: string };
  readonly forMe: { readonly mayDecide: boolean; readonly because: string | null };
  readonly review: {
    readonly publication: { readonly weakens: number; readonly weakening: readonly string[]; readonly digest: string };
  };
  readonly report?: { readonly changes: readonly { readonly label: string }[]; readonly tests: readonly object[] };
}

async function decide(person: string, id: string): Promise<RequestView> {
  const { revision, digest } = await api.as<RequestView>(person, `/v1/requests/${id}`);
  return api.as<RequestView>(person, `/v1/requests/${id}/decisions`, { verdict: 'approve', revision, digest });
}

async function refusal(call: Promise<unknown>): Promise<{ status: number; slug: string; detail: string }> {
  const error = await call.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  if (error === undefined) throw new Error('the call was not refused');
  const [, status = '', body = ''] = /^(\d+) ([\s\S]*)$/.exec(error.message) ?? [];
  const { type, detail } = JSON.parse(body) as { type: string; detail: string };
  return { status: Number(status), slug: type.split(':').at(-1) ?? '', detail };
}

function flowOf(source: string) {
  const parsed = parseFlow(source, 'flow.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return parsed.flow;
}

const oneApprover = (source: string): string => source.replaceAll('count: 2', 'count: 1');

test('the paths of production onboarding say, in words, that two of security agree and who of them may not', () => {
  const paths = pathsOfFlows([flowOf(production)]).filter(({ end }) => end.state === 'completed');
  expect(paths.length).toBeGreaterThan(0);
  for (const path of paths) {
    expect(pathInWords(path)).toMatch(/approved by 2 of group:security.*\(not the requester/);
    expect(pathConditions(path)).toContain('the environment is production');
  }
});

test('one approver fewer is called WEAKENS, and cannot be published: the invariants show the shortest path that it opens', async () => {
  const weaker = oneApprover(production).replace(/\ntests:\n[\s\S]*/, '\n');
  const diff = diffFlows([flowOf(production)], [flowOf(weaker)]);
  expect(diff.weakens).toBe(true);
  const call = api.as('flow-author', '/v1/flows/onboarding-production-service-account/versions', {
    source: weaker,
    justification: 'one is enough',
  });
  const { status, slug, detail } = await refusal(call);
  expect([status, slug]).toEqual([422, 'flow-not-sound']);
  expect(detail).toContain('production-needs-two');
  expect(detail).toContain('the shortest such path, of onboarding-production-service-account');
  expect(await installation.ledger.prisma.publication.count()).toBe(0);
});

test('where the invariants allow it, two others must have seen that an approver is dropped; what runs keeps its version; one approval brings it back', async () => {
  const name = 'onboarding-production-service-account';
  const untested = production.replace(/\ntests:\n[\s\S]*/, '\n');
  const publish = (person: string, source: string) =>
    api.as<RequestView>(person, `/v1/flows/${name}/versions`, { source, justification: 'three eyes, or two' });
  const stricter = await publish('flow-author', untested.replaceAll('count: 2', 'count: 3'));
  expect(stricter.review.publication.weakens).toBe(0);
  expect((await decide('security-1', stricter.id)).state).toBe('completed');
  const running = await opened(installation, onboardingOrder({ environment: 'production' }));

  const asked = await publish('security-author', untested);
  expect(asked).toMatchObject({ state: 'awaiting-approval', flow: { name: 'publication-default' } });
  expect(asked.review.publication.weakening.join('\n')).toContain(
    'group:security: approvers 3 → 2: fewer of group:security',
  );
  expect(await refusal(decide('security-author', asked.id))).toMatchObject({ status: 403, slug: 'self-approval' });
  const shown = await api.as<RequestView>('security-1', `/v1/requests/${asked.id}`);
  expect(shown.report?.changes[0]).toMatchObject({ label: 'WEAKENS' });
  expect((await decide('security-1', asked.id)).state).toBe('awaiting-approval');
  expect((await decide('security-2', asked.id)).state).toBe('completed');

  const versions = await api.as<Versions>('auditor', `/v1/flows/${name}/versions`);
  expect(versions.items).toMatchObject([
    { isPublished: true, requestId: asked.id, publishedBy: 'security-author@tenure.example' },
    { isPublished: false, requestId: stricter.id, publishedBy: 'flow-author@tenure.example' },
    { isPublished: false, requestId: null, publishedBy: 'system:seed' },
  ]);
  const [weak, strict] = versions.items.map(({ digest }) => digest);
  const later = await opened(installation, onboardingOrder({ environment: 'production' }));
  expect(await flowOfRequest(running.requestId)).toBe(strict);
  expect(await flowOfRequest(later.requestId)).toBe(weak);
  for (const person of ['security-1', 'security-2']) await decide(person, running.requestId);
  expect((await api.as<RequestView>('auditor', `/v1/requests/${running.requestId}`)).state).toBe('awaiting-approval');

  const back = await api.as<RequestView>('flow-author', `/v1/flows/${name}/rollback`, { justification: 'a mistake' });
  expect(back).toMatchObject({ state: 'awaiting-approval', flow: { name: 'publication-rollback' } });
  expect((await decide('security-1', back.id)).state).toBe('completed');
  const now = await api.as<Versions>('auditor', `/v1/flows/${name}/versions`);
  expect(now.items[0]).toMatchObject({ digest: strict, isPublished: true, requestId: back.id });
});

interface Versions {
  readonly items: readonly { digest: string; isPublished: boolean; requestId: string | null; publishedBy: string }[];
}

async function flowOfRequest(id: string): Promise<string> {
  return (await api.as<RequestView>('auditor', `/v1/requests/${id}`)).flow.digest;
}
