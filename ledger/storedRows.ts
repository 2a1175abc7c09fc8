import type { Decision, Identity, Request } from '../prisma/generated/client.ts';

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

/** But for what became of it. */
export function decisionOf(row: AsJson<Omit<Decision, 'withdrawnAt'>>): Omit<Decision, 'withdrawnAt'> {
  return { ...row, decidedAt: new Date(row.decidedAt), authenticatedAt: instantOrNull(row.authenticatedAt) };
}

export function instantOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
