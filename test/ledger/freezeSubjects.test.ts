import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { type FreezeSelector, freezeSelector } from '../../domain/freezeSelector.ts';
import type { Ledger } from '../../ledger/client.ts';
import { freezesOn } from '../../ledger/freezeSubjects.ts';
import { openFreeze, requestsOfFreeze } from '../../ledger/freezes.ts';
import { extentOfSelector, findFreeze, previewSelector } from '../../ledger/queries/freezes.ts';
import { evidenceFixture } from './evidenceFixture.ts';
import { insertCredential, insertFlow, insertIdentity, moveCredential } from './rows.ts';

/** The one predicate in SQL against the same rule written in TypeScript, from DESIGN's words. */

interface Subject {
  readonly id: string;
  readonly kind: 'service-account' | 'connector';
  readonly state: 'requested' | 'active' | 'revoked';
  readonly integration: string;
  readonly ownerId: string;
  readonly issuer: string;
  readonly store: string;
  readonly environment: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Digests: of an open request, of a closed one, of the one that a live and a destroyed credential came from. */
  readonly openFlow: string | undefined;
  readonly closedFlow: string | undefined;
  readonly liveFlow: string | undefined;
  readonly goneFlow: string | undefined;
}

function isSelected(selector: FreezeSelector, subject: Subject): boolean {
  const labels = Object.entries(subject.labels).map(([key, value]) => `${key}=${value}`);
  const flows = [subject.openFlow, subject.liveFlow].filter((digest) => digest !== undefined);
  return (
    selector.identityIds.includes(subject.id) ||
    selector.integrations.includes(subject.integration) ||
    selector.ownerIds.includes(subject.ownerId) ||
    selector.issuers.includes(subject.issuer) ||
    selector.stores.includes(subject.store) ||
    selector.environments.includes(subject.environment) ||
    (subject.kind === 'connector' && selector.connectorIds.includes(subject.id)) ||
    selector.flowDigests.some((digest) => flows.includes(digest)) ||
    selector.labels.some((label) => labels.includes(label))
  );
}

// Words that one list must not mistake for another's, and that LIKE or a missing quote would trip over.
const word = fc.constantFrom('payments', 'mail', 'main-db', "o'neil", '100%', 'a_b', '');
const name = fc.constantFrom('payments', 'mail', 'main-db', "o'neil", '100%', 'a_b');
const digests = ['digest-a', 'digest-b', 'digest-c'];
const digest = fc.option(fc.constantFrom(...digests), { nil: undefined });
const anySubject = fc.record({
  kind: fc.constantFrom('service-account' as const, 'connector' as const),
  state: fc.constantFrom('requested' as const, 'active' as const, 'active' as const, 'revoked' as const),
  integration: name,
  ownerId: name,
  issuer: name,
  store: name,
  environment: name,
  labels: fc.dictionary(fc.constantFrom('team', 'tier'), word, { maxKeys: 2 }),
  openFlow: digest,
  closedFlow: digest,
  liveFlow: digest,
  goneFlow: digest,
});
const some = <T>(item: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant<T[]>([]) }, fc.array(item, { minLength: 1, maxLength: 2 }));
const place = fc.nat({ max: 30 });
const anySelector = fc.record({
  identityPlaces: some(place),
  connectorPlaces: some(place),
  integrations: some(name),
  ownerIds: some(name),
  issuers: some(name),
  stores: some(name),
  environments: some(name),
  flowDigests: some(fc.constantFrom(...digests, 'digest-of-nothing')),
  labels: some(fc.tuple(fc.constantFrom('team', 'tier'), word).map(([key, value]) => `${key}=${value}`)),
});

async function insertRequestUnder(client: pg.Client, identityId: string, flowDigest: string, isOpen: boolean) {
  const id = randomUUID();
  await client.query(
    `INSERT INTO "request" ("id", "kind", "identityId", "flowDigest", "state", "trigger", "requesterId", "requesterKind",
       "flowState", "workflowId", "finishedAt")
     VALUES ($1, 'rotation', $2, $3, $4, 'person', 'rui', 'person', '{}', $1, CASE WHEN $5::boolean THEN NULL ELSE now() END)`,
    [id, identityId, flowDigest, isOpen ? 'executing' : 'completed', isOpen],
  );
  return id;
}

async function insertSubject(
  client: pg.Client,
  given: Omit<Subject, 'id'>,
): Promise<Subject & { openRequest?: string }> {
  const id = await insertIdentity(client);
  const { kind, integration, ownerId, issuer, store, environment, labels } = given;
  // Issuer and store never change once there is a row, so it is made with them.
  await client.query(`ALTER TABLE "identity" DISABLE TRIGGER "identity_transition"`);
  await client.query(
    `UPDATE "identity" SET "kind" = $2, "integration" = $3, "ownerId" = $4, "issuer" = $5, "store" = $6,
       "environment" = $7, "labels" = $8 WHERE "id" = $1`,
    [id, kind, integration, ownerId, issuer, store, environment, labels],
  );
  for (const [flow, state] of [
    [given.liveFlow, 'current'],
    [given.goneFlow, 'destroyed'],
  ] as const) {
    if (flow === undefined) continue;
    const handle = await insertCredential(client, id, await insertRequestUnder(client, id, flow, false));
    for (const next of state === 'current' ? (['staged', 'current'] as const) : (['destroying', 'destroyed'] as const))
      await moveCredential(client, handle, next);
  }
  if (given.closedFlow !== undefined) await insertRequestUnder(client, id, given.closedFlow, false);
  const openRequest =
    given.openFlow === undefined ? undefined : await insertRequestUnder(client, id, given.openFlow, true);
  await client.query(`UPDATE "identity" SET "state" = $2 WHERE "id" = $1`, [id, given.state]);
  await client.query(`ALTER TABLE "identity" ENABLE TRIGGER "identity_transition"`);
  return { ...given, id, ...(openRequest === undefined ? {} : { openRequest }) };
}

test('a freeze holds exactly whom its selector names, and its preview, counts and nudges say the same', async () => {
  const fixture = await evidenceFixture();
  const ledger: Ledger = {
    prisma: fixture.ledger,
    direct: fixture.direct,
    evidence: fixture.keys,
    decisionKeys: new Map(),
    leaseMs: 10_000,
  };
  const client = await fixture.connect();
  for (const known of digests) {
    const made = await insertFlow(client);
    await client.query(
      `INSERT INTO "flow_version" ("digest", "name", "operation", "canonical", "source", "author")
       SELECT $2, $2, "operation", "canonical", "source", "author" FROM "flow_version" WHERE "digest" = $1`,
      [made, known],
    );
  }
  const subjects: (Subject & { openRequest?: string })[] = [];
  for (const given of fc.sample(anySubject, { numRuns: 30, seed: 7 }))
    subjects.push(await insertSubject(client, given));
  const idAt = (index: number) => subjects[index]?.id ?? 'nobody';

  await fc.assert(
    fc.asyncProperty(anySelector, async ({ identityPlaces, connectorPlaces, ...lists }) => {
      const selector = freezeSelector({
        ...lists,
        identityIds: identityPlaces.map(idAt),
        connectorIds: connectorPlaces.map(idAt),
      });
      const isEmpty = Object.values(selector).every((list) => list.length === 0);
      const named = subjects.filter((subject) => isSelected(selector, subject));
      const live = (all: readonly Subject[]) => all.filter(({ state }) => state !== 'revoked');

      const preview = await previewSelector(ledger.prisma, selector);
      expect(preview).toMatchObject({ matching: live(named).length, live: live(subjects).length });
      expect(await extentOfSelector(ledger.prisma, selector)).toBe(preview.extent);
      if (isEmpty) return;

      const id = randomUUID();
      await openFreeze(ledger, { id, ...selector, reason: 'a test', by: 'ida' });
      const held = await freezesOn(
        ledger.prisma,
        subjects.map((subject) => subject.id),
      );
      const heldIds = [...held].filter(([, freezes]) => freezes.some((freeze) => freeze.id === id)).map(([of]) => of);
      expect(heldIds.sort()).toEqual(named.map((subject) => subject.id).sort());
      const requests = await requestsOfFreeze(ledger, { freezeId: id, afterRequestId: '', limit: 100 });
      expect([...requests].sort()).toEqual(named.flatMap(({ openRequest }) => openRequest ?? []).sort());
      const situation = await findFreeze(ledger.prisma, id);
      expect(situation?.counts).toMatchObject({
        subjects: live(named).length,
        unreviewed: named.filter(({ state }) => state === 'active').length,
        usable: named.filter(({ liveFlow }) => liveFlow !== undefined).length,
      });
    }),
    { numRuns: 60 },
  );
});
