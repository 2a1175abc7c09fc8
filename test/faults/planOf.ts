import { chance } from './chance.ts';
import type { Plan } from './plan.ts';
import { amid, faultOf, stopOf } from './plannedFaults.ts';
import { freezeOf, massRevocationOf } from './plannedIncidents.ts';
import { agentOf, lifeOf } from './plannedLives.ts';

/**
 * The same seed gives the same plan, on every machine and in every order of seeds. What was added to the mix is drawn after
 * what was there before, so that a seed still names what it named.
 */
export function planOf(seed: number): Plan {
  const draw = chance(seed);
  const accounts = Array.from({ length: draw.between(4, 7) }, (_, index) =>
    lifeOf(draw, `seed ${seed} no ${index + 1}`),
  );
  const freezes = Array.from({ length: draw.oneOf([0, 1, 1, 2]) }, () => freezeOf(draw, accounts));
  const faults = Array.from({ length: draw.between(3, 6) }, () => faultOf(draw, amid(draw, accounts)));
  const agents = Array.from({ length: draw.between(1, 2) }, (_, index) => agentOf(draw, `agent ${seed} ${index + 1}`));
  const stops = Array.from({ length: draw.oneOf([0, 1, 1, 2]) }, () => stopOf(draw, amid(draw, accounts)));
  const lives = [...accounts, ...agents];
  const incident = draw.percent(60) ? massRevocationOf(draw, seed, lives.length) : undefined;
  return {
    seed,
    lives: [...lives, ...(incident?.lives ?? [])],
    freezes,
    massRevocation: incident?.massRevocation,
    faults: [...faults, ...stops, ...(incident?.faults ?? [])],
  };
}
