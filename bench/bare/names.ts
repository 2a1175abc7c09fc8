/** What both sides of the bare workflow share. */

export const bareTaskQueue = 'bare';
export const bareWorkflowType = 'bareOnboarding';
export const bareGrantType = 'bareGrant';
export const openUpdate = 'open';
export const decideUpdate = 'decide';

/** Local activities: each is one INSERT of one row. */
export interface BareLocalActivities {
  insert(row: { identityId: string; what: string }): Promise<{ sequence: number }>;
}

/** Remote activities: at issuer and store what Tenure's `create` and `promote` do there, and nothing else. */
export interface BareRemoteActivities {
  create(order: { identityId: string }): Promise<{ fingerprint: string }>;
  promote(order: { identityId: string }): Promise<{ outcome: 'served' }>;
}

export type BareActivities = BareLocalActivities & BareRemoteActivities;
