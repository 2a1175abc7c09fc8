import { expect, test } from 'vitest';
import { factsOfTest } from '../../../domain/flow/testFacts.ts';
import { TestWorld } from '../../../domain/flow/testWorld.ts';
import { shippedFlows } from './shippedFlowFiles.ts';

const [flow] = shippedFlows.filter(({ metadata }) => metadata.name === 'publication-default');
if (flow === undefined) throw new Error('no flow on publications is shipped');
const security = { id: 'sam', active: true, groups: ['security'] };

const begun = () => new TestWorld({ flow, facts: factsOfTest(flow, {}), flowAuthor: 'ann' });

test('the approval that closes a publication publishes everything at once, and needs no workflow for it', () => {
  const published: string[] = [];
  const facts = factsOfTest(flow, { publication: { names: ['one', 'two'] } });
  const watch = ({ changes }: { changes: readonly { change: string }[] }) =>
    published.push(...changes.map(({ change }) => change));
  const world = new TestWorld({ flow, facts, flowAuthor: 'ann', watch });
  world.decide(security, 'approve');
  expect(world.requestState).toBe('completed');
  expect(world.plan.effects).toEqual([]);
  expect(published.filter((change) => change === 'publish-flow')).toHaveLength(2);
});

test('what was approved for another published set is denied, and nothing of it is published', () => {
  const world = begun();
  world.publishMeanwhile();
  world.decide(security, 'approve');
  expect([world.requestState, world.reason]).toEqual(['denied', 'published-meanwhile']);
});

test('a pause holds it before anything is published, and what was decided meanwhile counts when it ends', () => {
  const world = begun();
  world.command('lea', 'pause');
  world.decide(security, 'approve');
  expect(world.requestState).toBe('held');
  world.command('lea', 'resume');
  expect(world.requestState).toBe('completed');
});

test('it can be cancelled until it is published', () => {
  const world = begun();
  expect(world.command('rui', 'cancel')).toEqual({ accepted: true });
  expect(world.decide(security, 'approve')).toMatchObject({ accepted: false, slug: 'request-closed' });
});
