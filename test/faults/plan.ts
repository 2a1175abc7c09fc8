import type { RequestState } from '../../domain/states.ts';
import { type Chance, chance } from './chance.ts';

/** What a seed determines: who does what, and what breaks when. Pure, so that a number names a run. */
export interface Plan {
  readonly seed: number;
  readonly lives: readonly Life[];
  readonly freezes: readonly Freeze[];
  readonly faults: readonly Fault[];
}

export const integrations = ['payments', 'mail'] as const;
export type Integration = (typeof integrations)[number];

/** One identity, from its onboarding on. Its acts follow one another. */
export interface Life {
  readonly name: string;
  /** What it is: an account of the issuer's database, or an agent that asks for tools. */
  readonly kind: 'service-account' | 'agent';
  readonly store: 'sealed' | 'vault';
  readonly integration: Integration;
  /** `production` asks two of security to onboard and one to rotate; `staging` asks nobody. */
  readonly environment: 'production' | 'staging';
  readonly acts: readonly Act[];
}

export interface Act {
  readonly what: 'onboard' | 'rotate' | 'revoke' | 'ask';
  /** Of what an agent asks for: granted at once, granted with its own proof and an approval, or denied. */
  readonly risk?: 'low' | 'high' | 'outside';
  /** A rotation is asked for by a person or by the deploying pipeline. */
  readonly by: 'person' | 'pipeline';
  /** How long after the act before: its request is final by then, or still open where `overtakes` says so. */
  readonly afterMs: number;
  /** Begins so long after the act before began, however that stands. */
  readonly overtakes: boolean;
  /** The consumer says that it uses the new credential; else the grace window ends by itself. */
  readonly acknowledges: boolean;
  /** How approvers decide where they are asked. */
  readonly approvers: 'approve' | 'deny';
  /** What is commanded while the request is open. */
  readonly commands: readonly Command[];
}

export interface Command {
  readonly verb: 'pause' | 'cancel' | 'rollback';
  /** After the request was opened; a rollback, after it began to wait for consumers. */
  readonly afterMs: number;
  /** Until the pause is resumed. */
  readonly forMs: number;
}

export interface Freeze {
  readonly integration: Integration;
  readonly mode: 'hold' | 'cancel';
  readonly at: Instant;
  readonly forMs: number;
  /** Each subject is asked to rotate while it is frozen; the request must wait, or end. */
  readonly isDefied: boolean;
  /** Each subject is reviewed first, or a second responder lifts the freeze without. */
  readonly ends: 'review' | 'override';
  /** Whether the review asks for a new credential. */
  readonly reissue: boolean;
}

export const processes = ['worker', 'api', 'temporal', 'ledger', 'vault', 'issuer'] as const;
export type ProcessName = (typeof processes)[number];

export const links = [
  'worker-ledger',
  'worker-temporal',
  'worker-issuer',
  'worker-vault',
  'api-ledger',
  'api-temporal',
  'api-vault',
] as const;
export type LinkName = (typeof links)[number];

export type Breakage =
  | { readonly do: 'kill'; readonly process: ProcessName }
  /** SIGSTOP, then SIGCONT. */
  | { readonly do: 'stop'; readonly process: Exclude<ProcessName, 'ledger' | 'issuer'> }
  /** The worker is stopped, another takes over, then the first comes back and knows nothing of it. */
  | { readonly do: 'zombie' }
  /** `cut`: connections are closed and none is made; `reset`: each is reset (RST); `blackhole`: what is sent is lost. */
  | { readonly do: 'cut' | 'reset' | 'blackhole'; readonly link: LinkName }
  | { readonly do: 'delay'; readonly link: LinkName; readonly ms: number }
  | { readonly do: 'throttle'; readonly link: LinkName; readonly kilobytesPerSecond: number };

/** So long after a request first showed a state, or after the beginning where none is named. */
export interface Instant {
  readonly when?: { readonly life: number; readonly act: number; readonly state: RequestState };
  readonly afterMs: number;
  /** After the beginning, also if that state is never seen. */
  readonly latestMs: number;
}

export interface Fault {
  readonly at: Instant;
  readonly breakage: Breakage;
  /** Until what was killed is started again, or what was broken is mended. */
  readonly forMs: number;
}

/** The same seed gives the same plan, on every machine and in every order of seeds. */
export function planOf(seed: number): Plan {
  const draw = chance(seed);
  const lives = Array.from({ length: draw.between(4, 7) }, (_, index) => lifeOf(draw, `seed ${seed} no ${index + 1}`));
  const freezes = Array.from({ length: draw.oneOf([0, 1, 1, 2]) }, () => freezeOf(draw, lives));
  const faults = Array.from({ length: draw.between(3, 6) }, () => faultOf(draw, lives));
  // Last, so that what seeds named before there were agents they still name.
  const agents = Array.from({ length: draw.between(1, 2) }, (_, index) => agentOf(draw, `agent ${seed} ${index + 1}`));
  return { seed, lives: [...lives, ...agents], freezes, faults };
}

/** Asks again and again, rotates its key between, and may be revoked in the end. */
function agentOf(draw: Chance, name: string): Life {
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

function lifeOf(draw: Chance, name: string): Life {
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

/** Of the integration of one life, most often while something of that one goes on. */
function freezeOf(draw: Chance, lives: readonly Life[]): Freeze {
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

function faultOf(draw: Chance, lives: readonly Life[]): Fault {
  const { when } = stateOf(draw, lives);
  return {
    at: instantOf(draw, draw.percent(70) ? when : undefined),
    breakage: breakageOf(draw),
    forMs: draw.between(100, 2_500),
  };
}

function instantOf(draw: Chance, when: Instant['when']): Instant {
  if (when === undefined) return { afterMs: draw.between(200, 12_000), latestMs: 12_000 };
  return { when, afterMs: draw.percent(30) ? 0 : draw.between(0, 600), latestMs: draw.between(8_000, 20_000) };
}

/** A state that some act of some life shows on its way. */
function stateOf(
  draw: Chance,
  lives: readonly Life[],
): { readonly when: NonNullable<Instant['when']>; readonly integration: Integration } {
  const index = draw.between(0, lives.length - 1);
  const life = lives[index];
  const act = draw.between(0, (life?.acts.length ?? 1) - 1);
  const what = life?.acts[act]?.what;
  if (life === undefined || what === undefined)
    throw new RangeError(`Life ${index} of ${lives.length} has no act ${act}.`);
  const state = draw.oneOf<RequestState>([
    'executing',
    'executing',
    'completed',
    ...(what === 'rotate' ? (['awaiting-consumers', 'awaiting-consumers'] as const) : []),
    ...(what !== 'revoke' && life.environment === 'production' ? (['awaiting-approval'] as const) : []),
  ]);
  return { when: { life: index, act, state }, integration: life.integration };
}

function breakageOf(draw: Chance): Breakage {
  const link = draw.oneOf(links);
  const process = draw.oneOf(processes);
  const stopped = draw.oneOf(['worker', 'worker', 'api', 'temporal', 'vault'] as const);
  const ms = draw.between(50, 800);
  const kilobytesPerSecond = draw.between(2, 40);
  // Half of the faults are deaths: they are what loses most.
  const kind = draw.between(1, 100);
  if (kind <= 48) return { do: 'kill', process };
  if (kind <= 58) return { do: 'stop', process: stopped };
  if (kind <= 66) return { do: 'zombie' };
  if (kind <= 74) return { do: 'cut', link };
  if (kind <= 81) return { do: 'reset', link };
  if (kind <= 88) return { do: 'blackhole', link };
  if (kind <= 95) return { do: 'delay', link, ms };
  return { do: 'throttle', link, kilobytesPerSecond };
}

/** A fault in a few words, for logs and counts: `kill worker`, `cut api-ledger`. */
export function nameOf(breakage: Breakage): string {
  if (breakage.do === 'zombie') return 'zombie worker';
  return `${breakage.do} ${'process' in breakage ? breakage.process : breakage.link}`;
}
