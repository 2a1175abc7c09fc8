import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pseudonym, withoutPersons } from '../../../domain/evidence/pseudonym.ts';

const personKey = createSecretKey(Buffer.alloc(32, 7));
const alice = pseudonym(personKey, 'alice@example.test');

test('a person is the same pseudonym each time, and another under another key', () => {
  expect(alice).toMatch(/^p_[0-9a-f]{32}$/);
  expect(pseudonym(personKey, 'alice@example.test')).toBe(alice);
  expect(pseudonym(personKey, 'alicf@example.test')).not.toBe(alice);
  expect(pseudonym(createSecretKey(Buffer.alloc(32, 8)), 'alice@example.test')).not.toBe(alice);
});

test('pipelines and Tenure itself stay readable, and a pseudonym stays what it is', () => {
  expect(pseudonym(personKey, 'pipeline:deploy')).toBe('pipeline:deploy');
  expect(pseudonym(personKey, 'system:sealer')).toBe('system:sealer');
  expect(pseudonym(personKey, alice)).toBe(alice);
});

test('an address becomes the pseudonym of its person wherever it stands in the data', () => {
  const data = {
    owner: 'alice@example.test',
    consumers: ['pipeline:deploy', 'alice@example.test'],
    verdicts: { 'alice@example.test': 'approve' },
    reason: 'Asked by alice@example.test. See <alice@example.test>, (alice@example.test): ok?',
    nested: [{ by: 'alice@example.test', count: 2, none: null, done: true }],
  };
  expect(withoutPersons(personKey, data)).toEqual({
    owner: alice,
    consumers: ['pipeline:deploy', alice],
    verdicts: { [alice]: 'approve' },
    reason: `Asked by ${alice}. See <${alice}>, (${alice}): ok?`,
    nested: [{ by: alice, count: 2, none: null, done: true }],
  });
});

test('an owner with unusual characters gets the same pseudonym as a principal and as a value', () => {
  const person = "o'brien+ops/x@example.test";
  expect(withoutPersons(personKey, { owner: person })).toEqual({ owner: pseudonym(personKey, person) });
});

test('no address survives in any data', () => {
  fc.assert(
    fc.property(fc.emailAddress(), fc.string(), fc.string(), (address, before, after) => {
      const told = JSON.stringify(
        withoutPersons(personKey, { text: `${before} ${address} ${after}`, [address]: [address] }),
      );
      expect(told).not.toContain('@');
    }),
  );
});
