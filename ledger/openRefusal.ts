import type { OpenResult } from '../domain/flow/open.ts';

/** Why a request was not opened. */
export type Refusal = Extract<OpenResult, { opened: false }>;

export function refuse(slug: string, detail: string): Refusal {
  return { opened: false, slug, detail };
}

/** Carries a refusal out of the transaction, so that it rolls back. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}
