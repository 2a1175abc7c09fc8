import { z } from 'zod';
import { FindingBody } from './publication.ts';

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
    mistakes: z
      .array(
        z.object({
          file: z.string().meta({ description: 'Which of the flows that were sent: its field.' }),
          line: z.int(),
          column: z.int(),
          path: z.string(),
          reason: z.string(),
          suggestion: z.string().optional(),
          text: z.string().meta({ description: 'All of it in words, with the line and a caret.' }),
        }),
      )
      .optional()
      .meta({ description: 'Every mistake of the flow, for `flow-invalid`.' }),
    findings: z.array(FindingBody).optional().meta({ description: 'All of them, for `flow-not-sound`.' }),
    runningRequestId: z
      .string()
      .optional()
      .meta({ description: 'The request that is running, for `request-running`.' }),
    stepUpId: z
      .string()
      .optional()
      .meta({ description: 'The step-up that was opened before its agent was frozen, for `frozen`.' }),
  })
  .meta({ id: 'Problem' });
