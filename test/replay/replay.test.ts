import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { lifecycleWorkflowType } from '../../contracts/names.ts';
import { finalRequestStates } from '../../domain/states.ts';
import { workflowBundle } from '../../worker/bundle.ts';
import * as workflows from '../../workflows/index.ts';
import { endingOf, type History, historyOf, storedHistories, storedHistoryText } from './storedHistory.ts';
import { earlierStories, stories, workflowOf } from './stories.ts';

// Histories that must not replay are meant to fail here.
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
});

/** What runs in production was written by workflows of earlier: the present ones must read every history the same way. */

let options: { workflowBundle: Awaited<ReturnType<typeof workflowBundle>> };
beforeAll(async () => {
  options = { workflowBundle: await workflowBundle() };
});

/** The error of each history that does not replay, by the story's name. */
async function failures(histories: Readonly<Record<string, History>>): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const entries = Object.entries(histories).map(([workflowId, history]) => ({ workflowId, history }));
  for await (const { workflowId, error } of Worker.runReplayHistories(options, entries)) {
    if (error !== undefined) found[workflowId] = `${error.name}: ${error.message}`;
  }
  return found;
}

const stored = (story: string): History => historyOf(storedHistoryText(story));

test('every story has its history, every history its story, and every workflow at least one', () => {
  expect(storedHistories()).toEqual([...Object.keys(stories), ...earlierStories].sort());
  expect([...new Set(storedHistories().map(workflowOf))].sort()).toEqual(Object.keys(workflows).sort());
});

test('each workflow is recorded with each way that a request ends, and the history says so itself', () => {
  const ways = storedHistories().flatMap((story) => {
    const ending = endingOf(storedHistoryText(story));
    return ending === undefined ? [] : [`${workflowOf(story)} ${ending}`];
  });
  // Nothing ends as failed: what cannot be done is stuck and tried on.
  const endings = finalRequestStates.filter((state) => state !== 'failed');
  const kinds = Object.keys(workflows).filter((name) => name !== lifecycleWorkflowType);
  expect([...new Set(ways)].sort()).toEqual(
    kinds.flatMap((kind) => endings.map((ending) => `${kind} ${ending}`)).sort(),
  );
});

test('the present workflows replay every recorded history', async () => {
  const histories = Object.fromEntries(storedHistories().map((story) => [story, stored(story)]));
  expect(await failures(histories)).toEqual({});
});

test('a history whose effects come in another order does not replay', async () => {
  const history = stored('rotation-completed');
  const ordered = (history.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: order }) => order ?? []);
  const [first, second] = ordered;
  if (!first || !second) throw new Error('a rotation orders create, then promote');
  const [earlier = null, later = null] = [first.activityType, second.activityType];
  first.activityType = later;
  second.activityType = earlier;
  const { reordered = '' } = await failures({ reordered: history });
  expect(reordered).toMatch(/^DeterminismViolationError/);
});

test('a history that lacks a step of the ledger does not replay', async () => {
  const history = stored('onboarding-completed');
  const markers = (history.events ?? []).filter((event) => event.markerRecordedEventAttributes);
  expect(markers.length).toBeGreaterThan(0);
  for (const { markerRecordedEventAttributes: marker } of markers) if (marker) marker.markerName = 'another';
  const { lacking = '' } = await failures({ lacking: history });
  expect(lacking).toMatch(/^DeterminismViolationError/);
});

test('no history holds a path or name of the machine it ran on, an address, or anything that could be a secret', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url)).slice(0, -1);
  for (const story of storedHistories()) {
    const text = storedHistoryText(story);
    const payloads = [...text.matchAll(/"data": "([A-Za-z0-9+/=]+)"/g)].map(([, data = '']) =>
      Buffer.from(data, 'base64').toString('utf8'),
    );
    expect(payloads.length, story).toBeGreaterThan(0);
    for (const part of [text, ...payloads]) {
      expect(part).not.toContain(root);
      expect(part).not.toContain(`@${hostname()}`);
      expect(part).not.toMatch(/postgres(ql)?:\/\/|SCRAM-SHA-256|password|file:\/\/|node_modules|\/home\/|\/root\//i);
    }
    expect(text).not.toContain(Buffer.from('binary/encrypted').toString('base64'));
  }
});
