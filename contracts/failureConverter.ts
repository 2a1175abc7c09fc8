import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Puts messages and stack traces of failures into a payload, which the codec then encrypts; otherwise they stand in
 * histories as plain text. Loaded by path, by client, worker and workflow bundle alike. What stays readable is the
 * failure's type: the name of an error class, which is code.
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
