import type { Chance } from './chance.ts';
import { type Fault, type Freeze, type Life, type MassRevocation, revokedIntegration } from './plan.ts';
import { faultOf, instantOf, stateOf, stopOf } from './plannedFaults.ts';
import { agentOf, lifeOf } from './plannedLives.ts';

/** Of the integration of one life, most often while something of that one goes on. */
export function freezeOf(draw: Chance, lives: readonly Life[]): Freeze {
  const { when, integration } = stateOf(draw, lives);
  return {
    integration,
    mode: draw.percent(75) ? 'hold' : 'cancel',
    at: instantOf(draw, draw.percent(80) ? when : undefined),
    forMs: draw.between(500, 4_000),
    isDefied: draw.percent(60),
    ends: draw.oneOf(['review', 'override']),
    reissue: draw.percent(30),
  };
}

/**
 * A mass revocation, those that it takes, and what breaks meanwhile.
 * @param firstIndex of the first of its lives among all of the plan
 */
export function massRevocationOf(
  draw: Chance,
  seed: number,
  firstIndex: number,
): { readonly massRevocation: MassRevocation; readonly lives: readonly Life[]; readonly faults: readonly Fault[] } {
  const integration = revokedIntegration;
  const accounts = Array.from({ length: draw.between(2, 4) }, (_, index) => ({
    ...lifeOf(draw, `revoked ${seed} ${index + 1}`),
    integration,
  }));
  const agents = draw.percent(40) ? [{ ...agentOf(draw, `revoked agent ${seed}`), integration }] : [];
  const early = [...accounts, ...agents];
  const pauses = Array.from({ length: draw.oneOf([0, 1, 1, 2]) }, () => ({
    afterMs: draw.between(0, 800),
    forMs: draw.between(300, 2_500),
  }));
  const { acts, ...latecomer } = lifeOf(draw, `revoked ${seed} late`);
  const hasLate = draw.percent(70) && pauses.length > 0;
  const { when } = stateOf(draw, early, firstIndex);
  const massRevocation: MassRevocation = {
    integration,
    mode: draw.percent(75) ? 'hold' : 'cancel',
    at: instantOf(draw, draw.percent(80) ? when : undefined),
    isDefied: draw.percent(40),
    startsAfterMs: draw.between(0, 1_500),
    pauses,
    late: hasLate ? firstIndex + early.length : undefined,
    isLifted: draw.percent(50),
  };
  const phases = ['frozen', 'started', 'started', pauses.length > 0 ? 'paused' : 'started'] as const;
  const faults = Array.from({ length: draw.between(1, 3) }, () => {
    const at = instantOf(draw, { massRevocation: draw.oneOf(phases) });
    return draw.percent(25) ? stopOf(draw, at) : faultOf(draw, at);
  });
  const late = hasLate ? [{ ...latecomer, integration, acts: acts.slice(0, 1) }] : [];
  return { massRevocation, lives: [...early, ...late], faults };
}
