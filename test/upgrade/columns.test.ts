import { expect, test } from 'vitest';
import { type Column, narrowings } from './columns.ts';

const column = (change: Partial<Column> = {}): Column => ({
  type: 'text',
  isNullable: false,
  hasDefault: false,
  ...change,
});
const older = {
  'request.id': column(),
  'request.reason': column({ isNullable: true }),
  'request.at': column({ hasDefault: true }),
};

test('a schema that only grows stops nobody', () => {
  const grown = {
    ...older,
    'request.note': column({ isNullable: true }),
    'request.count': column({ hasDefault: true }),
    'wave.id': column(),
  };
  expect(narrowings(older, grown)).toEqual([]);
});

test('whatever a release loses that knows only the older schema is named', () => {
  const narrowed = {
    'request.reason': column(),
    'request.at': column({ type: 'int8' }),
    'request.wave': column(),
  };
  expect(narrowings(older, narrowed)).toEqual([
    'request.id is gone',
    'request.reason may not be null any more',
    'request.at was text and is int8',
    'request.wave must be given by inserts that do not know it',
  ]);
  expect(narrowings(older, { ...older, 'request.id': column({ isNullable: true }), 'request.at': column() })).toEqual([
    'request.id may be null now, which its readers do not expect',
    'request.at lost its default',
  ]);
});
