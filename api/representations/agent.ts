import { z } from 'zod';
import { agentPolicySchema, agentRegistrationSchema } from '../../domain/agentRegistration.ts';

/** What somebody asks to register. */
export const Registration = agentRegistrationSchema.meta({
  id: 'AgentRegistration',
  description:
    'What the agent authenticates with: one of a public key, the address of its keys, or a subject of a provider.',
});

export const Policy = agentPolicySchema.meta({
  id: 'AgentPolicy',
  description:
    'What the agent may be granted at most; flows decide whether it is. In `resources` and `workspaces`, `*` stands for any characters within one segment.',
});

export const Agent = z.strictObject({ registration: Registration, policy: Policy }).meta({
  id: 'Agent',
  description: 'Of an agent, and of nothing else. Its scopes are every `<tool>:<action>` of its policy.',
});

/** As it is shown. */
export const RegistrationBody = z
  .union([
    z.object({ publicKey: z.record(z.string(), z.string()).readonly() }),
    z.object({ jwksUri: z.string() }),
    z.object({ oidc: z.object({ provider: z.string(), subject: z.string() }) }),
  ])
  .meta({ id: 'ShownRegistration', description: 'What an agent authenticates with. Nothing in it is secret.' });

const names = z.array(z.string()).readonly();

export const PolicyBody = z
  .object({
    rules: z.array(z.object({ tool: z.string(), actions: names, resources: names, workspaces: names })).readonly(),
    grantTtl: z.exactOptional(z.string().meta({ description: 'The longest life of a grant (ISO 8601).' })),
  })
  .meta({ id: 'ShownPolicy', description: 'What an agent may be granted at most.' });

export const agentExample: z.input<typeof Agent> = {
  registration: {
    publicKey: {
      kty: 'EC',
      crv: 'P-256',
      x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
      y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
    },
  },
  policy: {
    rules: [{ tool: 'search', actions: ['read'], resources: ['orders/*'], workspaces: ['payments'] }],
    grantTtl: 'PT5M',
  },
};
