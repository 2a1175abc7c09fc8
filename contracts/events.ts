/** Events are judged by `domain/flow/advance.ts`; workflows and the API know them by this name. */
export type * from '../domain/flow/events.ts';
