/** What `open` stores and answers; the ledger and the API know it by this name. */
export type * from '../domain/flow/open.ts';
