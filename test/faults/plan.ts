import type { RequestState } from '../../domain/states.ts';

/** What a seed determines: who does what, and what breaks when. Pure, so that a number names a run. */
export interface Plan {
  readonly seed: number;
  readonly lives: readonly Life[];
  readonly freezes: readonly Freeze[];
  readonly massRevocation: MassRevocation | undefined;
  readonly faults: readonly Fault[];
}

export const integrations = ['payments', 'mail'] as const;
/** What a mass revocation takes, it alone takes. */
export const revokedIntegration = 'billing' as const;
export type Integration = (typeof integrations)[number] | typeof revokedIntegration;

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

/** A responder freezes identities of an integration of their own, and revokes all that they hold. */
export interface MassRevocation {
  readonly integration: typeof revokedIntegration;
  readonly mode: Freeze['mode'];
  /** Of the freeze. */
  readonly at: Instant;
  readonly isDefied: boolean;
  /** After the freeze. */
  readonly startsAfterMs: number;
  /** One after another; each so long after it was started, or resumed. */
  readonly pauses: readonly { readonly afterMs: number; readonly forMs: number }[];
  /** The life that is onboarded while it is first paused. */
  readonly late: number | undefined;
  /** Whether the freeze is lifted when it is closed. */
  readonly isLifted: boolean;
}

export const massRevocationPhases = ['frozen', 'started', 'paused'] as const;

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
  /** SIGSTOP, then SIGCONT; of PostgreSQL, all its sessions too. */
  | { readonly do: 'stop'; readonly process: ProcessName }
  /** The worker is stopped, another takes over, then the first comes back and knows nothing of it. */
  | { readonly do: 'zombie' }
  /** `cut`: connections are closed and none is made; `reset`: each is reset (RST); `blackhole`: what is sent is lost. */
  | { readonly do: 'cut' | 'reset' | 'blackhole'; readonly link: LinkName }
  | { readonly do: 'delay'; readonly link: LinkName; readonly ms: number }
  | { readonly do: 'throttle'; readonly link: LinkName; readonly kilobytesPerSecond: number };

/** What is waited for: a state that a request shows, or how far the mass revocation is. */
export type Moment =
  | { readonly life: number; readonly act: number; readonly state: RequestState }
  | { readonly massRevocation: (typeof massRevocationPhases)[number] };

/** So long after a moment was first seen, or after the beginning where none is named. */
export interface Instant {
  readonly when?: Moment;
  readonly afterMs: number;
  /** After the beginning, also if that moment never comes. */
  readonly latestMs: number;
}

export interface Fault {
  readonly at: Instant;
  readonly breakage: Breakage;
  /** Until what was killed is started again, or what was broken is mended. */
  readonly forMs: number;
}

/** A fault in a few words, for logs and counts: `kill worker`, `cut api-ledger`. */
export function nameOf(breakage: Breakage): string {
  if (breakage.do === 'zombie') return 'zombie worker';
  return `${breakage.do} ${'process' in breakage ? breakage.process : breakage.link}`;
}
