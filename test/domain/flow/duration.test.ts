import fc from 'fast-check';
import { expect, test } from 'vitest';
import { durationMs, InvalidDuration, longestDurationMs } from '../../../domain/flow/duration.ts';

test.each([
  ['P1D', 86_400_000],
  ['PT4H', 14_400_000],
  ['P1DT12H', 129_600_000],
  ['PT5M', 300_000],
  ['PT0.5S', 500],
  ['PT1H2M3.004S', 3_723_004],
  ['PT0S', 0],
  ['P3650D', longestDurationMs],
])('%s is %i milliseconds', (text, milliseconds) => {
  expect(durationMs(text)).toBe(milliseconds);
});

test.each([
  '',
  'P',
  'PT',
  'P1',
  '1D',
  'P1DT',
  'P1Y',
  'P1M',
  'P1W',
  'PT1.5H',
  'P1.5D',
  'PT1,5S',
  'PT0.0001S',
  '-P1D',
  '+P1D',
  'P-1D',
  'p1d',
  ' P1D',
  'P1D ',
  'P1D\n',
  'PT1S1M',
  'P1H',
  '5 parsecs',
  'PT١S',
  'PT1e3S',
  'P3651D',
  `P${'9'.repeat(400)}D`,
])('%j is refused, and the error shows the text and the rule', (text) => {
  expect(() => durationMs(text)).toThrow(InvalidDuration);
  expect(() => durationMs(text)).toThrow(
    text === 'P3651D' ? /longer than ten years/ : /write days, hours, minutes and seconds/,
  );
});

test('every duration within ten years means the sum of its parts', () => {
  const part = fc.option(fc.integer({ min: 0, max: 900 }), { nil: undefined });
  fc.assert(
    fc.property(part, part, part, part, (days, hours, minutes, seconds) => {
      const time = [hours, minutes, seconds]
        .map((amount, index) => (amount === undefined ? '' : `${amount}${'HMS'[index]}`))
        .join('');
      const text = `P${days === undefined ? '' : `${days}D`}${time === '' ? '' : `T${time}`}`;
      fc.pre(text !== 'P');
      const expected = (((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0);
      expect(durationMs(text)).toBe(expected * 1000);
    }),
  );
});
