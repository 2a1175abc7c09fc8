import { expect, test } from 'vitest';
import { askedTogether } from '../../ledger/askedTogether.ts';

test('what is asked in one turn is one question, and each is answered what it asked', async () => {
  const questions: (readonly number[])[] = [];
  const double = askedTogether(async (all: readonly number[]) => {
    questions.push(all);
    return all.map((one) => one * 2);
  });
  expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6]);
  expect(await double(4)).toBe(8);
  expect(questions).toEqual([[1, 2, 3], [4]]);
});

test('nobody is answered by a question that was put before they asked', async () => {
  const questions: PromiseWithResolvers<readonly string[]>[] = [];
  const ask = askedTogether<string, string>(() => {
    const question = Promise.withResolvers<readonly string[]>();
    questions.push(question);
    return question.promise;
  });
  const before = ask('before');
  while (questions.length < 1) await nextTurn();
  const after = ask('after');
  while (questions.length < 2) await nextTurn();
  questions[0]?.resolve(['put first']);
  questions[1]?.resolve(['put second']);
  expect(await Promise.all([before, after])).toEqual(['put first', 'put second']);
});

test('a question that fails, fails for all who asked it and for nobody after', async () => {
  let isDown = true;
  const ask = askedTogether<string, string>(async () => {
    if (isDown) throw new Error('the ledger is down');
    return ['it is back'];
  });
  const outcomes = await Promise.allSettled([ask('one'), ask('other')]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isDown = false;
  expect(await ask('later')).toBe('it is back');
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
