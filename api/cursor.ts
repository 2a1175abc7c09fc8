import { idPattern } from '../domain/ids.ts';
import type { Page, Place } from '../ledger/queries/page.ts';
import { invalidRequest } from './problem.ts';

/** A cursor is a place in the list, as base64url of `<epoch ms>,<id>`: opaque to callers, and worthless to change. */
export function cursorOf({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt.getTime()},${id}`).toString('base64url');
}

/** @throws Problem `invalid-request` when the text is no cursor of ours */
export function placeOf(cursor: string): Place {
  const [milliseconds = '', id = '', ...rest] = Buffer.from(cursor, 'base64url').toString('utf8').split(',');
  const createdAt = new Date(/^\d{1,15}$/.test(milliseconds) ? Number(milliseconds) : Number.NaN);
  if (rest.length > 0 || !idPattern.test(id) || Number.isNaN(createdAt.getTime())) throw badCursor();
  return { createdAt, id };
}

export function badCursor() {
  return invalidRequest([
    {
      field: 'query.cursor',
      message: 'is not a cursor of this list; take nextCursor of the page before, or leave it out',
    },
  ]);
}

/** A page as lists answer it: `nextCursor` is null on the last one. */
export function pageBody<T extends Place, R>(
  { items, next }: Page<T>,
  represent: (item: T) => R,
): { items: R[]; nextCursor: string | null } {
  return { items: items.map(represent), nextCursor: next === undefined ? null : cursorOf(next) };
}
