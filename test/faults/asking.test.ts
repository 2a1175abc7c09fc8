import { expect, test } from 'vitest';
import { idFromKey, type KeyedBy } from '../../domain/ids.ts';
import { keepUnsure, newKey } from './asking.ts';
import type { Write } from './caller.ts';
import { planOf } from './planOf.ts';
import { newStory } from './story.ts';

const requester = 'agent:one';
const refused = { status: 401, slug: 'unauthenticated', detail: undefined, body: {} };
const frozen = { status: 409, slug: 'frozen', detail: undefined, body: {} };
const granted = { status: 200, slug: undefined, detail: undefined, body: { id: 'another' } };
const createdAt = 1_000;

/** Whether a request counts as explained by what was sent under its key. */
function isExplained(sent: readonly Partial<Write>[], by = requester): boolean {
  const story = newStory(planOf(1).lives);
  const [subject] = story.subjects;
  if (subject === undefined) throw new Error('Seed 1 has no lives.');
  const key = newKey({ story }, subject, undefined);
  const write = { key, path: '/', principal: '', body: {}, answer: refused, isUnsure: false, sentAtMs: 2_000 };
  const written = sent.map((each) => ({ ...write, ...each }));
  const id = idFromKey('request', { principal: requester, key });
  const idOf = (call: KeyedBy) => idFromKey('request', call);
  keepUnsure({ calls: { written }, story, log: { count: () => undefined }, idOf }, [{ id, requester: by, createdAt }]);
  return story.requests.get(id)?.subject === subject;
}

test('a request whose call was refused is in order where an earlier attempt under its key was left without an answer', () => {
  expect(isExplained([{ isUnsure: true }])).toBe(true);
  expect(isExplained([{ isUnsure: true }, {}]), 'by another key of the agent').toBe(true);
  expect(isExplained([{ isUnsure: true, answer: frozen, sentAtMs: 500 }]), 'frozen before it was there').toBe(true);
});

test('every other request that was refused is a violation', () => {
  expect(isExplained([]), 'never sent').toBe(false);
  expect(isExplained([{}]), 'refused at once').toBe(false);
  expect(isExplained([{ isUnsure: true, key: 'another' }, {}]), 'unsure under another key').toBe(false);
  expect(isExplained([{ isUnsure: true }], 'agent:two'), 'of somebody else').toBe(false);
  expect(isExplained([{ isUnsure: true }, { answer: granted }]), 'answered with another request').toBe(false);
  expect(isExplained([{ isUnsure: true, answer: frozen }]), 'frozen, and told that there is none').toBe(false);
});
