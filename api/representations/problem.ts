import { z } from 'zod';

/** RFC 9457, as every error is answered. */
export const ProblemDocument = z
  .object({
    type: z.string().meta({ description: '`urn:tenure:problem:<slug>`', example: 'urn:tenure:problem:self-approval' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What happened, to which object, and what to do next.' }),
    instance: z.string().meta({ description: 'The HTTP request, as in X-Request-Id.' }),
    errors: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'The fields at fault, for `invalid-request`.' }),
    runningRequestId: z
      .string()
      .optional()
      .meta({ description: 'The request that is running, for `request-running`.' }),
  })
  .meta({ id: 'Problem' });
