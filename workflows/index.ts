/** Every workflow that can be started, and nothing else: what this file exports is startable by anyone with access to Temporal. */
export { lifecycle } from './lifecycle.ts';
export { onboarding } from './onboarding.ts';
export { publication } from './publication.ts';
export { review } from './review.ts';
export { revocation } from './revocation.ts';
export { rotation } from './rotation.ts';
export { stepUp } from './stepUp.ts';
