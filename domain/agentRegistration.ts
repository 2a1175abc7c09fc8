import { z } from 'zod';
import type { AgentRegistration } from './agents.ts';
import { durationMs } from './flow/duration.ts';
import { longestPlace, type Place, resources, workspaces } from './places.ts';
import { readPublicJwk } from './publicJwk.ts';

/** What somebody may write as an agent's registration and policy; `domain/agents.ts` says what they mean. */

const distinct = (item: z.ZodString, most: number) =>
  z
    .array(item)
    .min(1)
    .max(most)
    .refine((items) => new Set(items).size === items.length, 'must not name anything twice');

const word = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits and hyphens');

/** What approvers read is what is compared. */
const patternOf = ({ pattern, form }: Place) =>
  z.string().max(longestPlace).regex(pattern, `must be ${form}; * stands for any characters within one segment`);

const publicKey = z
  .record(z.string().max(20), z.union([z.string().max(2000), z.array(z.unknown()).max(10)]))
  .transform((written, context) => {
    const read = readPublicJwk(written);
    if (read.ok) return read.jwk;
    context.issues.push({ code: 'custom', message: `the key ${read.reason}`, input: '' });
    return z.NEVER;
  })
  .meta({ description: 'A public key as RFC 7517 has it: P-256, Ed25519, or RSA of at least 2048 bits.' });

const jwksUri = z
  .url()
  .max(500)
  .refine((text) => {
    if (!URL.canParse(text)) return false;
    const { username, password, hash } = new URL(text);
    return username === '' && password === '' && hash === '';
  }, 'must have no user, password or fragment')
  .meta({ description: 'Where its public keys are found (RFC 7517 §5), by https. It rotates them there by itself.' });

const oidc = z
  .strictObject({
    provider: word,
    subject: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[\x21-\x7e]+$/, 'must be ASCII without spaces'),
  })
  .meta({ description: "The `sub` of its workload's tokens, of a provider of tenure.yaml that is `for: agents`." });

/** No union: its refusal would not say which member is at fault, and why. */
export const agentRegistrationSchema = z
  .strictObject({ publicKey: publicKey.optional(), jwksUri: jwksUri.optional(), oidc: oidc.optional() })
  .transform((written, context): AgentRegistration => {
    const named = [
      ...(written.publicKey === undefined ? [] : [{ publicKey: written.publicKey }]),
      ...(written.jwksUri === undefined ? [] : [{ jwksUri: written.jwksUri }]),
      ...(written.oidc === undefined ? [] : [{ oidc: written.oidc }]),
    ];
    const [registration] = named;
    if (registration !== undefined && named.length === 1) return registration;
    context.issues.push({ code: 'custom', message: 'must name one of publicKey, jwksUri and oidc', input: '' });
    return z.NEVER;
  });

const grantTtl = z.string().refine(isPositiveDuration, 'must be a duration such as PT10M');

export const agentPolicySchema = z.strictObject({
  rules: z
    .array(
      z.strictObject({
        tool: word,
        actions: distinct(word, 100),
        resources: distinct(patternOf(resources), 100),
        workspaces: distinct(patternOf(workspaces), 100),
      }),
    )
    .min(1)
    .max(50),
  grantTtl: z.exactOptional(grantTtl),
});

function isPositiveDuration(text: string): boolean {
  try {
    return durationMs(text) > 0;
  } catch {
    return false;
  }
}
