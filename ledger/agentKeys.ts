import type { AgentRegistration } from '../domain/agents.ts';
import { Prisma } from '../prisma/generated/client.ts';
import { issuerRows } from './issuerRows.ts';
import type { Statements } from './statements.ts';

/** What is kept of an agent's credential. Nothing in it is secret. */
export interface KeptAgentKey {
  readonly registration: AgentRegistration;
  /** Of a registration by OIDC: how its agent is found. */
  readonly oidcSubject: string | null;
}

/** What the issuer `agent-key` keeps. */
export const agentKeys = issuerRows<KeptAgentKey>('agent_key', {
  registration: (registration) => Prisma.sql`${JSON.stringify(registration)}::jsonb`,
  oidcSubject: (oidcSubject) => Prisma.sql`${oidcSubject}::text`,
});

/** Names of providers hold no space. */
export function oidcSubjectOf(registration: AgentRegistration): string | null {
  return 'oidc' in registration ? `${registration.oidc.provider} ${registration.oidc.subject}` : null;
}

/** What the request that mints this credential asks to register; undefined when it asks for nothing. */
export async function registrationAskedFor(
  client: Pick<Statements, '$queryRaw'>,
  handle: string,
): Promise<AgentRegistration | undefined> {
  const [row] = await client.$queryRaw<{ registration: AgentRegistration | null }[]>`
    SELECT r."registration" FROM "credential" c JOIN "request" r ON r."id" = c."requestId" WHERE c."handle" = ${handle}`;
  return row?.registration ?? undefined;
}
