/** A place in a list ordered by creation, newest first; the id breaks ties, so no row is skipped or repeated. */
export interface Place {
  readonly createdAt: Date;
  readonly id: string;
}

export interface PageAsked {
  readonly limit: number;
  readonly after?: Place;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; undefined when there is none. */
  readonly next: Place | undefined;
}

/** Prisma's `where`, `orderBy` and `take` for one page: one row more is read, to know whether another page follows. */
export function pageQuery({ limit, after }: PageAsked) {
  return {
    orderBy: [{ createdAt: 'desc' as const }, { id: 'desc' as const }],
    take: limit + 1,
    ...(after === undefined
      ? {}
      : {
          where: { OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }] },
        }),
  };
}

export function pageOf<T extends Place>(rows: readonly T[], limit: number): Page<T> {
  const items = rows.slice(0, limit);
  return { items, next: rows.length > limit ? items.at(-1) : undefined };
}
