/** The plan is made by `domain/flow/advance.ts`; workflows and activities know it by this name. */
export type * from '../domain/flow/plan.ts';
