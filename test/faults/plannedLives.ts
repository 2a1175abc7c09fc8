import type { Chance } from './chance.ts';
import { type Act, type Command, integrations, type Life } from './plan.ts';

/** Asks again and again, rotates its key between, and may be revoked in the end. */
export function agentOf(draw: Chance, name: string): Life {
  const asks = (count: number) => Array.from({ length: count }, () => askOf(draw));
  const rotations = draw.oneOf([0, 0, 1, 1, 2]);
  const acts = [
    actOf(draw, 'onboard'),
    ...asks(draw.between(2, 4)),
    ...Array.from({ length: rotations }, () => [
      { ...actOf(draw, 'rotate'), by: 'person' as const },
      ...asks(2),
    ]).flat(),
    ...(draw.percent(40) ? [actOf(draw, 'revoke')] : []),
  ];
  return {
    name,
    kind: 'agent',
    store: 'sealed',
    integration: draw.oneOf(integrations),
    environment: draw.oneOf(['production', 'staging']),
    acts,
  };
}

function askOf(draw: Chance): Act {
  return {
    what: 'ask',
    risk: draw.oneOf(['low', 'low', 'low', 'high', 'high', 'outside']),
    by: 'person',
    afterMs: draw.between(0, 1_200),
    overtakes: draw.percent(30),
    acknowledges: false,
    approvers: draw.percent(8) ? 'deny' : 'approve',
    commands: draw.percent(8)
      ? [{ verb: 'pause', afterMs: draw.between(0, 400), forMs: draw.between(200, 1_500) }]
      : [],
  };
}

export function lifeOf(draw: Chance, name: string): Life {
  const rotations = draw.oneOf([0, 1, 1, 2, 2, 3]);
  const acts = [
    actOf(draw, 'onboard'),
    ...Array.from({ length: rotations }, () => actOf(draw, 'rotate')),
    ...(draw.percent(40) ? [actOf(draw, 'revoke')] : []),
  ];
  return {
    name,
    kind: 'service-account',
    store: draw.oneOf(['sealed', 'vault']),
    integration: draw.oneOf(integrations),
    environment: draw.oneOf(['production', 'staging']),
    acts,
  };
}

function actOf(draw: Chance, what: Exclude<Act['what'], 'ask'>): Act {
  const overtakes = what === 'revoke' && draw.percent(50);
  return {
    what,
    by: what === 'rotate' ? draw.oneOf(['person', 'pipeline']) : 'person',
    afterMs: what === 'onboard' ? draw.between(0, 1_500) : draw.between(0, overtakes ? 1_500 : 800),
    overtakes,
    acknowledges: draw.percent(60),
    approvers: draw.percent(8) ? 'deny' : 'approve',
    commands: what === 'revoke' ? [] : commandsOf(draw, what),
  };
}

function commandsOf(draw: Chance, what: 'onboard' | 'rotate'): readonly Command[] {
  const command = (verb: Command['verb'], latestMs: number): Command => ({
    verb,
    afterMs: draw.between(0, latestMs),
    forMs: draw.between(200, 1_500),
  });
  return [
    ...(draw.percent(20) ? [command('pause', 600)] : []),
    ...(draw.percent(10) ? [command('cancel', 500)] : []),
    ...(what === 'rotate' && draw.percent(25) ? [command('rollback', 400)] : []),
  ];
}
