import type { Identity, Request } from '../prisma/generated/client.ts';

/** A row as PostgreSQL writes it into JSON: instants are texts. */
export type AsJson<Row> = {
  readonly [Column in keyof Row]: Row[Column] extends Date
    ? string
    : Row[Column] extends Date | null
      ? string | null
      : Row[Column];
};

export function identityOf(row: AsJson<Identity>): Identity {
  return { ...row, expiresAt: new Date(row.expiresAt), createdAt: new Date(row.createdAt) };
}

export function requestOf(row: AsJson<Request>): Request {
  return {
    ...row,
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    wakeAt: instantOrNull(row.wakeAt),
    finishedAt: instantOrNull(row.finishedAt),
  };
}

export function instantOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
