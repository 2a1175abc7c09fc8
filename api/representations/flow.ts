import { z } from 'zod';
import type { Label } from '../../domain/flow/analysis/change.ts';
import { identityKinds, requestKinds } from '../../domain/flow/language.ts';
import { sourceLimit } from '../../domain/flow/yamlPositions.ts';
import type { StoredFlow } from '../../ledger/queries/flows.ts';
import { Instant } from './fields.ts';

export const FlowName = z
  .string()
  .max(63)
  .regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, 'must be the name of a flow, in kebab-case')
  .meta({ example: 'onboarding-default' });

export const FlowDigest = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be the digest of a version: 64 of 0-9 and a-f')
  .meta({ description: 'SHA-256 of the canonical form.', example: 'a'.repeat(64) });

export const FlowText = z.string().min(1).max(sourceLimit).meta({
  description: 'A flow file, in YAML, as docs/flows.md describes it.',
});

/** Room for two flow files of the largest size, written in JSON. */
export const largestFlowBodyBytes = 2 * 1024 * 1024;

const described = {
  name: z.string(),
  on: z.enum(requestKinds),
  subject: z
    .object({ kind: z.exactOptional(z.enum(identityKinds)), where: z.exactOptional(z.string()) })
    .meta({ description: 'Which identities it governs; both left out: all.' }),
  description: z.string(),
  owner: z.string(),
  digest: z.string(),
  author: z.string().meta({ description: 'Who wrote this version.' }),
  storedAt: Instant,
  publishedAt: Instant.nullable().meta({ description: 'Since when it rules; null when it does not.' }),
};

export const FlowSummary = z.object(described).meta({ id: 'FlowSummary' });
export type FlowSummary = z.input<typeof FlowSummary>;

export const FlowVersion = z
  .object({
    ...described,
    source: z.string().meta({ description: 'As it was written.' }),
    flow: z.record(z.string(), z.unknown()).meta({
      description: 'As it was read, with defaults filled in; the digest is of its RFC 8785 form.',
    }),
  })
  .meta({ id: 'FlowVersion' });
export type FlowVersion = z.input<typeof FlowVersion>;

export function flowSummary({ flow, digest, author, storedAt, publishedAt }: StoredFlow): FlowSummary {
  return {
    name: flow.metadata.name,
    on: flow.on,
    subject: { ...flow.subject },
    description: flow.metadata.description,
    owner: flow.metadata.owner,
    digest,
    author,
    storedAt: storedAt.toISOString(),
    publishedAt: publishedAt?.toISOString() ?? null,
  };
}

export function flowVersionBody(stored: StoredFlow & { readonly source: string }): FlowVersion {
  return { ...flowSummary(stored), source: stored.source, flow: { ...stored.flow } };
}

export const flowExample: FlowSummary = {
  name: 'onboarding-default',
  on: 'onboarding',
  subject: { kind: 'service-account' },
  description: 'Outside production, the owner is enough.',
  owner: 'security',
  digest: '9f2c66a1c1a29f2c66a1c1a29f2c66a1c1a29f2c66a1c1a29f2c66a1c1a2abcd',
  author: 'system:seed',
  storedAt: '2026-11-22T10:00:00.000Z',
  publishedAt: '2026-11-22T10:00:00.000Z',
};

const words = z.array(z.string()).readonly();

export const FlowPathBody = z
  .object({
    number: z.int(),
    on: z.enum(requestKinds),
    flow: z.exactOptional(z.string()),
    conditions: words.meta({ description: 'All of them are true, in words.' }),
    steps: z
      .array(
        z.object({
          stage: z.string(),
          outcome: z.string(),
          escalated: z.exactOptional(z.boolean()),
          exceptions: z.exactOptional(words).meta({ description: 'Of a waived stage: each of these waives it.' }),
          words: z.string(),
        }),
      )
      .readonly(),
    end: z.object({ state: z.enum(['completed', 'denied', 'expired']), reason: z.exactOptional(z.string()) }),
    askedAgain: words.meta({
      description: 'With what reasons it is still denied, until it commits, when what was verified no longer holds.',
    }),
  })
  .meta({ id: 'FlowPath' });

export const pathExample: z.input<typeof FlowPathBody> = {
  number: 1,
  on: 'onboarding',
  flow: 'onboarding-default',
  conditions: ['the owner is not active'],
  steps: [{ stage: 'ownership', outcome: 'refused', words: 'refused: owner-not-valid' }],
  end: { state: 'denied', reason: 'owner-not-valid' },
  askedAgain: [],
};

const labels = ['WEAKENS', 'STRENGTHENS', 'NEUTRAL'] as const satisfies readonly Label[];

export const FlowDiffBody = z
  .object({
    ok: z.boolean().meta({ description: 'Nothing weakens.' }),
    changes: z
      .array(
        z.object({
          label: z.enum(labels),
          flow: z.string(),
          path: z.string().meta({ description: 'The field; empty for the flow as a whole.' }),
          was: z.string(),
          is: z.string(),
          because: z.string(),
        }),
      )
      .readonly(),
    paths: z
      .array(
        z.object({
          label: z.enum(['WEAKENS', 'STRENGTHENS']),
          on: z.enum(requestKinds),
          conditions: words,
          was: z.string(),
          is: z.string(),
          because: z.string(),
        }),
      )
      .readonly()
      .meta({ description: 'Requests that are treated differently, for the same facts: proved.' }),
  })
  .meta({ id: 'FlowDiff' });

export const diffExample: z.input<typeof FlowDiffBody> = {
  ok: false,
  changes: [
    {
      label: 'WEAKENS',
      flow: 'onboarding-default',
      path: 'stages.security.approval.require group:security',
      was: 'approvers 2',
      is: '1',
      because: 'fewer of group:security must agree, and can block',
    },
  ],
  paths: [],
};

const Ending = z.object({
  outcome: z.string(),
  reason: z.exactOptional(z.string()),
  stage: z.exactOptional(z.string()),
});

export const SimulationBody = z
  .object({
    ok: z.boolean().meta({ description: 'No recorded decision changes.' }),
    played: z.int(),
    others: z.int().meta({ description: 'Recorded requests that neither flow covers.' }),
    changed: z
      .array(
        z.object({
          id: z.string(),
          subject: z.string(),
          environment: z.string(),
          requester: z.string(),
          before: Ending,
          after: Ending,
          why: words,
        }),
      )
      .readonly(),
    unlike: z
      .array(z.object({ id: z.string(), recorded: Ending, played: Ending }))
      .readonly()
      .meta({ description: 'Those that ended otherwise in truth than the old flow ends them here.' }),
  })
  .meta({ id: 'FlowSimulation' });

export const simulationExample: z.input<typeof SimulationBody> = {
  ok: false,
  played: 240,
  others: 12,
  changed: [
    {
      id: 'qsch47vxnzj47kmpqx6qtfacpi',
      subject: 'billing-api',
      environment: 'production',
      requester: 'requester@example.com',
      before: { outcome: 'denied', reason: 'approval-timeout', stage: 'security' },
      after: { outcome: 'completed' },
      why: ['denied (approval-timeout) at security before, completed now'],
    },
  ],
  unlike: [],
};
