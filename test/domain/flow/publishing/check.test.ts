import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkSubmission } from '../../../../domain/flow/publishing/check.ts';
import { type PolicyDocument, readPolicyDocument } from '../../../../domain/flow/publishing/document.ts';
import { publicationDigest, publishedSetDigest } from '../../../../domain/flow/publishing/publishedSet.ts';
import { proposalOf } from '../../../../domain/flow/publishing/report.ts';
import { documentLimit, readSubmission, type Submission } from '../../../../domain/flow/publishing/submission.ts';
import { shippedDirectory } from '../shippedFlowFiles.ts';

const shipped = (file: string): string => readFileSync(join(shippedDirectory, file), 'utf8');
const invariants = shipped('invariants.yaml');

function documentOf(source: string): PolicyDocument {
  const read = readPolicyDocument(source, 'test.yaml');
  if (!read.ok) throw new Error(read.errors.map(({ reason }) => reason).join('; '));
  return read.document;
}

const flowFiles = readdirSync(shippedDirectory).filter((file) => file.endsWith('.flow.yaml'));
const published = [...flowFiles.map(shipped), invariants].map(documentOf);

function checked({ sources = [], retire = [] }: { sources?: readonly string[]; retire?: readonly string[] }) {
  const asked: Submission = { documents: sources.map((source, at) => ({ file: `f${at}`, source })), retire };
  const submission = readSubmission(asked, published);
  const now = '2026-11-22T00:00:00Z';
  return { submission, result: checkSubmission({ submission, published, records: new Map(), now }) };
}

function rulesOf(change: Parameters<typeof checked>[0]): readonly string[] {
  const { result } = checked(change);
  return result.ok ? [] : result.findings.map(({ rule }) => rule);
}

function proposed(change: Parameters<typeof checked>[0]) {
  const { submission, result } = checked(change);
  if (!result.ok) throw new Error(result.findings.map(({ shown }) => shown).join('\n'));
  return proposalOf({ submission, published, sound: result.sound, author: 'ann', isRollback: false });
}

const review = shipped('review-default.flow.yaml');

test('what is sent as it is published changes nothing', () => {
  const { submission } = checked({ sources: [review, invariants] });
  expect(submission).toMatchObject({
    changed: [],
    retired: [],
    findings: [],
    unchanged: ['review-default', 'invariants'],
  });
});

test('all that keeps a set from being published is told, each by its rule', () => {
  expect(rulesOf({ sources: [review.replace('effect: review', 'effect: issue')] })).toContain('mistake');
  expect(rulesOf({ sources: [review.replace('name: review-default', 'name: another')] })).toContain('ambiguous-flows');
  expect(rulesOf({ sources: [review.replace('outcome: completed', 'outcome: denied')] })).toContain('failing-test');
  expect(rulesOf({ retire: ['review-default'] })).toEqual(['operation-without-flow']);
  expect(rulesOf({ retire: ['nobody'] })).toEqual(['not-published']);
  expect(rulesOf({ retire: ['invariants'] })).toEqual(['not-retirable']);
  expect(rulesOf({ sources: [review, review] })).toContain('duplicate-flow-name');
  expect(rulesOf({ sources: [review.replace('name: review-default', 'name: invariants')] })).toContain('reserved-name');
  expect(rulesOf({ retire: Array.from({ length: documentLimit + 1 }, (_, at) => `f${at}`) })).toEqual(['too-many']);
});

test('a broken invariant is told with the shortest path that breaks it, whatever the tests of the flow say', () => {
  const alone = shipped('publication-rollback.flow.yaml')
    .replace(/ {2}- id: security\n[\s\S]*?(?= {2}- \{id: publish)/, '')
    .replace(/\ntests:\n[\s\S]*/, '\n');
  const { result } = checked({ sources: [alone] });
  const broken = result.ok ? [] : result.findings.filter(({ rule }) => rule === 'broken-invariant');
  expect(broken.map(({ message }) => message).join('\n')).toMatch(
    /nothing-is-published-alone[\s\S]*the shortest such path, of publication-rollback/,
  );
});

test('flows and invariants change together, and are proved against what would rule', () => {
  const without = invariants.replace(/\n {2}- id: review-needs-owner-and-security[\s\S]*?(?=\n {2}- id:)/, '');
  const { proposal } = proposed({ sources: [without] });
  expect(proposal).toMatchObject({ weakens: 1, items: [{ name: 'invariants', operation: 'invariants' }] });
  expect(proposal.weakening[0]).toContain('invariants.review-needs-owner-and-security');
});

test('the digest of a proposal covers its author, its items, the set it was checked against, and its report', () => {
  const longer = review.replace('requestTtl: P14D', 'requestTtl: P15D');
  const { proposal, report } = proposed({ sources: [longer] });
  const { digest, ...content } = proposal;
  expect(publicationDigest(content)).toBe(digest);
  expect(content.publishedSet).toBe(publishedSetDigest([...published].reverse()));
  expect(report.changes[0]).toMatchObject({ label: 'WEAKENS', path: 'limits.requestTtl' });
  for (const other of [{ author: 'bea' }, { items: [] }, { publishedSet: '' }, { report: '' }, { weakens: 0 }])
    expect(publicationDigest({ ...content, ...other })).not.toBe(digest);
});
