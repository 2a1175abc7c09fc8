import type { Facts } from '../domain/flow/facts.ts';
import type { Flow, RequestKind } from '../domain/flow/language.ts';
import type { PolicyDocument } from '../domain/flow/publishing/document.ts';
import { flowSchema } from '../domain/flow/schema.ts';
import { selectFlow } from '../domain/flow/select.ts';
import type { Ledger } from './client.ts';
import { appendEvidence } from './evidence.ts';
import { publishDocument } from './publications.ts';
import { lockPublishedSet } from './publishedSet.ts';
import type { Statements } from './statements.ts';

export interface FlowSource {
  readonly flow: Flow;
  readonly digest: string;
  readonly canonical: string;
  readonly source: string;
}

/** Versions never change, so they are parsed once per process. Bounded by the number of versions ever used. */
const parsedFlows = new Map<string, { flow: Flow; author: string }>();

/**
 * The version of this digest, by the rules of this release.
 * @throws FlowVersionMissing: a request's version is never deleted, so its absence means a damaged ledger;
 *   FlowVersionNotUnderstood when it says what this release does not know: another release beside this one stored it
 */
export async function flowVersion(tx: Statements, digest: string): Promise<{ flow: Flow; author: string }> {
  const known = parsedFlows.get(digest);
  if (known !== undefined) return known;
  const [row] = await tx.$queryRaw<{ canonical: string; author: string }[]>`
    SELECT "canonical", "author" FROM "flow_version" WHERE "digest" = ${digest}`;
  if (row === undefined) throw new FlowVersionMissing(digest);
  // What is not known might be the stage that denies: passed over, it would be a weaker flow under the same digest.
  const parsed = flowSchema.safeParse(JSON.parse(row.canonical));
  if (!parsed.success) throw new FlowVersionNotUnderstood(digest, parsed.error.issues.length);
  const version = { flow: parsed.data, author: row.author };
  parsedFlows.set(digest, version);
  return version;
}

/**
 * Which of the published flows on the operation rules this subject; the most specific wins (DESIGN section 6).
 * @param published their digests
 */
export async function flowFor(
  tx: Statements,
  published: readonly string[],
  operation: RequestKind,
  facts: Facts,
): Promise<{ found: { flow: Flow; digest: string } } | { slug: 'no-flow' | 'ambiguous-flow'; detail: string }> {
  const flows = await Promise.all(
    published.map(async (digest) => ({ flow: (await flowVersion(tx, digest)).flow, digest })),
  );
  const selection = selectFlow(flows, facts);
  if ('found' in selection) return { found: selection.found };
  if ('ambiguous' in selection) {
    return {
      slug: 'ambiguous-flow',
      detail: `Flows ${selection.ambiguous.join(' and ')} match equally well. Make one of them more specific.`,
    };
  }
  return {
    slug: 'no-flow',
    detail: `No published flow for ${operation} covers this subject: ${selection.detail} Publish one, or correct the subject.`,
  };
}

/**
 * Seeds an empty ledger with the shipped flows and invariants (evidence of the installation's beginning). A ledger that has
 * any flow is left alone: the published version rules. One from before flows could be published gets the shipped flows on
 * publication, once: without any, nobody could ever publish one.
 * @returns the names of documents that differ from what is published: drift, reported and not loaded
 */
export async function seedFlows(
  ledger: Ledger,
  sources: readonly FlowSource[],
  invariants?: PolicyDocument,
): Promise<readonly string[]> {
  const documents = [
    ...sources.map(({ flow, digest, canonical, source }) => ({
      name: flow.metadata.name,
      operation: flow.on,
      digest,
      canonical,
      source,
    })),
    ...(invariants === undefined ? [] : [invariants]),
  ];
  return ledger.prisma.$transaction(async (tx) => {
    await lockPublishedSet(tx);
    const published = await tx.publishedFlow.findMany();
    const isFromBefore =
      published.length > 0 && (await tx.flowVersion.count({ where: { operation: 'publication' } })) === 0;
    const seeded =
      published.length === 0
        ? documents
        : documents.filter(({ operation }) => isFromBefore && operation === 'publication');
    const at = new Date();
    for (const document of seeded) {
      await publishDocument(tx, document, null, { requestId: null, publishedBy: seeder, at });
    }
    await appendEvidence(
      tx,
      ledger.evidence,
      seeded.map(({ name, operation, digest }) => ({
        chain: 'installation',
        kind: 'flow.seeded',
        actor: seeder,
        at,
        data: { name, on: operation, digest },
      })),
    );
    const digestByName = new Map([...published, ...seeded].map(({ name, digest }) => [name, digest]));
    return documents.filter(({ name, digest }) => digestByName.get(name) !== digest).map(({ name }) => name);
  });
}

const seeder = 'system:seed';

/** The ledger names a flow version that it does not hold. */
export class FlowVersionMissing extends Error {
  override readonly name = 'FlowVersionMissing';
  constructor(digest: string) {
    super(
      `Flow version ${digest} is not in the ledger although a request runs under it. Restore the ledger from its backup.`,
    );
  }
}

/** A stored flow version has parts that this release does not know. Nothing was done; a release that knows them goes on. */
export class FlowVersionNotUnderstood extends Error {
  override readonly name = 'FlowVersionNotUnderstood';
  constructor(digest: string, parts: number) {
    super(
      `Flow version ${digest} says ${parts} thing${parts === 1 ? '' : 's'} that this release does not know, so it does nothing under it. Run the release that stored it, everywhere: a newer one was started beside this.`,
    );
  }
}
