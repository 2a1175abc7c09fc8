/**
 * When a guard is asked. Facts that can change are different facts at different moments; see `atoms.ts` for those that
 * cannot.
 */

/** The request is opened and its flow selected; an amendment under which another would be selected is refused. */
export const opening = 'opening';
/** Everything is asked again right before the effect, and once more when it commits. */
export const beginning = 'beginning';
/** After the effect: nothing is prevented any more. */
export const afterwards = 'afterwards';
