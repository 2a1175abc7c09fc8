import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Approver,
  digestOfReview,
  isQuorum,
  mayDecide,
  type Parties,
  type Review,
  type ReviewOfIdentity,
} from '../../domain/decisions.ts';
import { jointAuthor } from '../../domain/flow/authors.ts';
import type { ApprovalStage, Separation } from '../../domain/flow/language.ts';
import { exampleFacts } from './flow/exampleFacts.ts';

const parties: Parties = { requesters: ['rui', 'joe'], onBehalfOf: ['pia'], ownerId: 'ola', flowAuthor: 'ann' };
const everyRole: readonly Separation[] = ['requester', 'onBehalfOf', 'owner', 'flowAuthor'];

function asked(sources: readonly [string, number][], change: Partial<ApprovalStage['approval']> = {}): ApprovalStage {
  return {
    id: 'security',
    approval: {
      require: sources.map(([from, count]) => ({ from, count })),
      separation: everyRole,
      proof: 'session',
      timeout: { after: 'P1D', result: 'deny' },
      ...change,
    },
  };
}
const twoOfSecurity = asked([['group:security', 2]]);
const person = (id: string, ...groups: string[]): Approver => ({ id, active: true, groups });
const [sam, sue, lea] = [person('sam', 'security'), person('sue', 'security'), person('lea', 'lead')];

test.each([
  ['rui', 'a requester'],
  ['joe', 'who joined the request'],
  ['pia', 'the person behind a machine'],
  ['ola', 'the owner'],
  ['ann', 'the author of the flow'],
])('%s (%s) cannot decide where the flow separates that role', (id) => {
  expect(mayDecide(person(id, 'security'), twoOfSecurity, parties, false)).toMatchObject({
    may: false,
    slug: 'self-approval',
  });
});

test('separation of requesters keeps the person behind a machine away too', () => {
  const stage = asked([['group:security', 1]], { separation: ['requester'] });
  expect(mayDecide(person('pia', 'security'), stage, parties, false)).toMatchObject({ slug: 'self-approval' });
});

test('a role that the flow does not separate may decide', () => {
  const stage = asked([['owner', 1]], { separation: ['requester'] });
  expect(mayDecide(person('ola'), stage, parties, false)).toEqual({ may: true });
});

test('who is inactive, in no asked group, or in the escalation group before the escalation, is not eligible', () => {
  const stage = asked([['group:security', 1]], { escalate: { after: 'PT4H', to: 'group:lead' } });
  for (const approver of [{ ...sam, active: false }, person('bea'), person('bob', 'group:security', 'Security'), lea]) {
    expect(mayDecide(approver, stage, parties, false)).toMatchObject({ may: false, slug: 'not-eligible' });
  }
  expect(mayDecide(lea, stage, parties, true)).toEqual({ may: true });
});

test('a group is named by group: only, and a person called like a source gains nothing', () => {
  expect(mayDecide(person('owner', 'owner'), asked([['owner', 1]]), parties, false)).toMatchObject({ may: false });
  expect(mayDecide(person('security'), twoOfSecurity, parties, false)).toMatchObject({ may: false });
});

test('one person counts once, however often they decided', () => {
  expect(isQuorum([sam, sam, sam], twoOfSecurity, parties, false)).toBe(false);
  expect(isQuorum([sam, sue], twoOfSecurity, parties, false)).toBe(true);
});

test('every entry must be met, and a person in two groups fills one place, where it is needed', () => {
  const both = asked([
    ['group:security', 1],
    ['group:lead', 1],
  ]);
  const amy = person('amy', 'security', 'lead');
  expect(isQuorum([amy], both, parties, false)).toBe(false);
  expect(isQuorum([amy, sam], both, parties, false)).toBe(true);
  expect(isQuorum([sam, amy], both, parties, false)).toBe(true);
  expect(isQuorum([amy, lea], both, parties, false)).toBe(true);
  expect(isQuorum([sam, sue], both, parties, false)).toBe(false);
});

test('a quorum of nobody is none', () => {
  expect(isQuorum([sam, sue], asked([]), parties, false)).toBe(false);
});

const groups = ['security', 'lead', 'team'];
const anyApprover = fc.record({
  id: fc.constantFrom('rui', 'joe', 'pia', 'ola', 'ann', 'a', 'b', 'c', 'd'),
  active: fc.boolean(),
  groups: fc.subarray(groups),
});
const anyStage = fc
  .record({
    sources: fc.uniqueArray(
      fc.tuple(fc.constantFrom(...groups.map((group) => `group:${group}`), 'owner'), fc.integer({ min: 1, max: 3 })),
      { minLength: 1, maxLength: 3, selector: ([from]) => from },
    ),
    separation: fc.subarray([...everyRole]),
    escalates: fc.boolean(),
  })
  .map(({ sources, separation, escalates }) =>
    asked(sources, { separation, ...(escalates ? { escalate: { after: 'PT4H', to: 'group:lead' } } : {}) }),
  );

test('a quorum is exactly a seating of distinct eligible people on all places', () => {
  fc.assert(
    fc.property(fc.array(anyApprover, { maxLength: 7 }), anyStage, fc.boolean(), (found, stage, escalated) => {
      const approvers = [...new Map(found.map((approver) => [approver.id, approver])).values()];
      const sits = (approver: Approver, source: string) =>
        mayDecide(approver, asked([[source, 1]], { separation: [] }), parties, false).may;
      const { escalate, require: sources } = stage.approval;
      const places = sources.flatMap(({ from, count }) => new Array<string>(count).fill(from));
      const seats = (left: readonly Approver[], at: number): boolean =>
        at === places.length ||
        left.some((approver) => {
          const allowed = [places[at] ?? '', ...(escalated && escalate !== undefined ? [escalate.to] : [])];
          const others = left.filter(({ id }) => id !== approver.id);
          return allowed.some((source) => sits(approver, source)) && seats(others, at + 1);
        });
      const eligible = approvers.filter((approver) => mayDecide(approver, stage, parties, escalated).may);
      expect(isQuorum(approvers, stage, parties, escalated)).toBe(seats(eligible, 0));
    }),
    { numRuns: 2_000 },
  );
});

test('nobody whom the flow separates, and nobody inactive, ever makes a quorum', () => {
  fc.assert(
    fc.property(fc.array(anyApprover), anyStage, fc.boolean(), (approvers, stage, escalated) => {
      const { separation } = stage.approval;
      const kept = [
        ...(separation.includes('requester') ? ['rui', 'joe', 'pia'] : []),
        ...(separation.includes('onBehalfOf') ? ['pia'] : []),
        ...(separation.includes('owner') ? ['ola'] : []),
        ...(separation.includes('flowAuthor') ? ['ann'] : []),
      ];
      const without = approvers.filter(({ id, active }) => active && !kept.includes(id));
      // An id that the directory knows twice would be two people here: the last one counts, as in a directory.
      fc.pre(new Set(approvers.map(({ id }) => id)).size === approvers.length);
      expect(isQuorum(approvers, stage, parties, escalated)).toBe(isQuorum(without, stage, parties, escalated));
    }),
    { numRuns: 2_000 },
  );
});

test('every one of several authors is kept from deciding where the author is', () => {
  const people = ['ann', 'bea', 'cy'].map((id) => person(id, 'security'));
  const stage = asked([['group:security', 1]], { separation: ['flowAuthor'] });
  const joint = { ...parties, flowAuthor: jointAuthor(['ann', 'bea']) };
  expect(people.filter((each) => mayDecide(each, stage, joint, false).may).map(({ id }) => id)).toEqual(['cy']);
});

const review: ReviewOfIdentity = {
  requestId: 'r1',
  revision: 1,
  kind: 'onboarding',
  trigger: 'person',
  flowDigest: 'ff',
  stage: 'security',
  requesterId: 'rui',
  onBehalfOf: '',
  ownerId: 'ola',
  justification: 'for settlement',
  subject: exampleFacts.subject,
};

test('the digest of a review changes with whatever is shown, and with nothing else', () => {
  const reordered = Object.fromEntries(Object.entries(review).reverse()) as unknown as Review;
  expect(digestOfReview(reordered)).toBe(digestOfReview(review));
  for (const field of Object.keys(review) as (keyof ReviewOfIdentity)[]) {
    if (field === 'subject') continue;
    expect(digestOfReview({ ...review, [field]: 'another' }), field).not.toBe(digestOfReview(review));
  }
  for (const field of Object.keys(review.subject)) {
    const subject = { ...review.subject, [field]: 'another' };
    expect(digestOfReview({ ...review, subject }), field).not.toBe(digestOfReview(review));
  }
});
