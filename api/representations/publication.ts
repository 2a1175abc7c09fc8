import { z } from 'zod';
import { requestKinds } from '../../domain/flow/language.ts';
import { Id, Instant } from './fields.ts';

/** Publications: what would be published, what the check of it found, and what was published when. */

const operation = z.enum([...requestKinds, 'invariants']);

export const PublicationBody = z
  .object({
    digest: z.string(),
    author: z.string().meta({ description: 'Who asks for it.' }),
    items: z.array(
      z.object({
        name: z.string(),
        operation,
        digest: z.string().nullable().meta({ description: 'Null: the name is retired.' }),
        replaces: z.string().nullable().meta({ description: 'Null: nothing of this name is published.' }),
      }),
    ),
    publishedSet: z.string().meta({
      description:
        'SHA-256 of all that was published when it was checked. Once that changes, it must be asked for anew.',
    }),
    report: z.string().meta({ description: 'SHA-256 of the RFC 8785 form of the whole report.' }),
    isRollback: z.boolean(),
    weakens: z.int().meta({ description: 'How many changes let more through.' }),
    weakening: z.array(z.string()).meta({ description: 'Those in words; of very many, the first.' }),
    strengthens: z.int(),
    changesDecisions: z.int().meta({ description: 'Recorded requests that would be decided otherwise.' }),
  })
  .meta({ id: 'Publication' });

export const publicationExample: z.input<typeof PublicationBody> = {
  digest: '3f0a4e',
  author: 'flow-author@example.com',
  items: [{ name: 'onboarding-default', operation: 'onboarding', digest: '9f86d0', replaces: '60303a' }],
  publishedSet: 'fd61a0',
  report: 'a4e624',
  isRollback: false,
  weakens: 1,
  weakening: ['onboarding-default: stages.security.approval.require group:security: approvers 2 → 1: fewer must agree'],
  strengthens: 0,
  changesDecisions: 12,
};

export const FindingBody = z
  .object({
    rule: z.string(),
    severity: z.enum(['error', 'warning']),
    file: z.string(),
    line: z.int(),
    column: z.int(),
    path: z.string(),
    message: z.string(),
    suggestion: z.exactOptional(z.string()),
    shown: z.string().meta({ description: 'For a terminal: the line with a caret under the character.' }),
  })
  .meta({ id: 'FlowFinding' });

const label = z.enum(['WEAKENS', 'STRENGTHENS', 'NEUTRAL']);
const ending = z.object({
  outcome: z.string(),
  reason: z.exactOptional(z.string()),
  stage: z.exactOptional(z.string()),
});

export const PublicationReportBody = z
  .object({
    documents: z.array(z.object({ name: z.string(), digest: z.string(), sourceDigest: z.string() })),
    warnings: z.array(FindingBody),
    tests: z.array(z.object({ flow: z.string(), passed: z.int() })),
    invariants: z.array(z.object({ id: z.string(), title: z.string(), paths: z.int() })).meta({
      description: 'Proved on every path. Of no path, an invariant says nothing.',
    }),
    changes: z.array(
      z.object({
        label,
        flow: z.string(),
        path: z.string(),
        was: z.string(),
        is: z.string(),
        because: z.string(),
      }),
    ),
    paths: z.array(
      z.object({
        label,
        on: z.enum(requestKinds),
        conditions: z.array(z.string()),
        was: z.string(),
        is: z.string(),
        because: z.string(),
      }),
    ),
    pathsLeftOut: z.int(),
    simulations: z.array(
      z.object({
        flow: z.string(),
        played: z.int().meta({ description: 'Recorded requests, the newest.' }),
        changed: z.int(),
        examples: z.array(
          z.object({
            id: z.string(),
            subject: z.string(),
            environment: z.string(),
            requester: z.string(),
            before: ending,
            after: ending,
            why: z.array(z.string()),
          }),
        ),
      }),
    ),
  })
  .meta({ id: 'PublicationReport' });

export const VersionBody = z
  .object({
    digest: z.string().nullable().meta({ description: 'Null: the name was retired.' }),
    operation,
    isPublished: z.boolean().meta({ description: 'It rules now.' }),
    publishedBy: z.string(),
    publishedAt: Instant,
    requestId: Id.nullable().meta({ description: 'Null: seeded at the first start, or recovered offline.' }),
  })
  .meta({ id: 'PublishedVersion' });
