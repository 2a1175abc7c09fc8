import { z } from 'zod';
import { isWithin } from './checks.ts';
import type { EventLog } from './eventLog.ts';
import { pipeline, type Stage } from './stage.ts';
import type { GrantKept, Story, Subject } from './story.ts';

interface Place {
  readonly stage: Stage;
  readonly story: Story;
  readonly log: EventLog;
}

const Introspection = z.object({ active: z.boolean() });

/** As a resource server does that was shown the newest grant of an agent: never active once a freeze or a revocation was answered. */
export async function introspectOnce(place: Place, subject: Subject): Promise<void> {
  const { stage, story, log } = place;
  const grant = [...story.grants.values()].findLast((kept) => kept.subject === subject);
  if (grant === undefined) return;
  const askedAtMs = Date.now();
  const isActive = await introspect(stage, grant);
  if (isActive === undefined) return log.count('introspections without an answer');
  log.count(`introspections: ${isActive ? 'active' : 'inactive'}`);
  const { life, identityId, revocation } = subject;
  if (isActive && revocation?.answeredAtMs !== undefined && askedAtMs > revocation.answeredAtMs)
    log.violation(`${life.name}: a grant was active after the revocation was answered`);
  const freezes = story.freezes.filter(({ plan }) => plan.integration === life.integration);
  // Asked under the freeze and answered when it was over, it may be active.
  const answeredAtMs = Date.now();
  const isFrozen = freezes.some(
    (freeze) => isWithin(askedAtMs, freeze, identityId) && isWithin(answeredAtMs, freeze, identityId),
  );
  if (isActive && isFrozen) log.violation(`${life.name}: a grant was active under a freeze`);
}

/** RFC 7662, as the deploying pipeline; undefined when nobody answered. */
export async function introspect(
  { apiUrl, token }: Pick<Stage, 'apiUrl' | 'token'>,
  { accessToken }: Pick<GrantKept, 'accessToken'>,
): Promise<boolean | undefined> {
  try {
    const response = await fetch(`${apiUrl}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token(pipeline)}` },
      body: new URLSearchParams({ token: accessToken }),
      signal: AbortSignal.timeout(8_000),
    });
    return Introspection.safeParse(await response.json()).data?.active;
  } catch {
    // The API is down or stands still: that it does not answer is the whole of what can be said.
    return undefined;
  }
}
