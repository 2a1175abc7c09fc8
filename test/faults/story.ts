import { newWallet, type Wallet } from './agentWallets.ts';
import type { Act, Freeze, Life, MassRevocation } from './plan.ts';

/** What was asked for and what was answered, as those who asked know it: what the checks hold the system to. */
export interface Story {
  readonly subjects: readonly Subject[];
  readonly freezes: FreezeKept[];
  readonly massRevocations: MassRevocationKept[];
  /** What was to be opened, by its Idempotency-Key: before it was sent. */
  readonly asked: Map<string, Pick<RequestKept, 'subject' | 'what' | 'act'>>;
  /** By id. */
  readonly requests: Map<string, RequestKept>;
  /** Tokens that agents were given, each once. */
  readonly grants: Map<string, GrantKept>;
  /** Every value that was ever served. */
  readonly secrets: Set<string>;
}

export interface Subject {
  readonly index: number;
  readonly life: Life;
  /** Known when the onboarding was answered. */
  identityId: string | undefined;
  isOnboarded: boolean;
  /** Its own, or that of many; answered, that of many is when the identity was first seen to be taken. */
  revocation: { readonly sentAtMs: number; answeredAtMs: number | undefined } | undefined;
  /** An agent's own; undefined of what is none. */
  readonly wallet: Wallet | undefined;
  /** What its store served, each time it was read and answered. */
  readonly served: Served[];
  /** What it served last. */
  lastValue: { readonly version: number; readonly value: string } | undefined;
}

/** One look at what the store serves, from a consumer's place. */
export interface Served {
  /** Before it was asked for. */
  readonly askedAtMs: number;
  readonly through: 'vault' | 'api';
  readonly found:
    | { readonly kind: 'value'; readonly version: number; readonly epoch: number }
    | { readonly kind: 'tombstone'; readonly epoch: number | undefined }
    | { readonly kind: 'withheld' }
    | { readonly kind: 'nothing' };
}

/** A request whose caller knows of it, or that a review opened and approvers found. */
export interface RequestKept {
  readonly id: string;
  readonly subject: Subject;
  readonly what: 'onboarding' | 'rotation' | 'revocation' | 'review' | 'step-up';
  readonly act: Act | undefined;
  /** Decisions that were answered with 200. */
  readonly decided: { readonly stage: string; readonly approver: string; readonly verdict: 'approve' | 'deny' }[];
  /** A cancel was sent, whatever became of it. */
  isCancelSent: boolean;
}

export interface FreezeKept {
  readonly plan: Pick<Freeze, 'integration' | 'mode'>;
  readonly id: string;
  readonly answeredAtMs: number;
  /** Before the lift was sent. */
  liftSentAtMs: number | undefined;
  isLifted: boolean;
  /** By identity: before the review that thaws it was asked for. */
  readonly thawSentAtMs: Map<string, number>;
}

/** A mass revocation that was answered with 202. */
export interface MassRevocationKept {
  readonly plan: MassRevocation;
  readonly id: string;
  readonly freeze: FreezeKept;
  /** Commands that were answered with 200. */
  readonly commanded: ('paused' | 'resumed')[];
}

/** What a granted step-up gave. */
export interface GrantKept {
  readonly stepUpId: string;
  readonly subject: Subject;
  readonly accessToken: string;
}

export function newStory(lives: readonly Life[]): Story {
  return {
    subjects: lives.map((life, index) => ({
      index,
      life,
      identityId: undefined,
      isOnboarded: false,
      revocation: undefined,
      wallet: life.kind === 'agent' ? newWallet() : undefined,
      served: [],
      lastValue: undefined,
    })),
    freezes: [],
    massRevocations: [],
    asked: new Map(),
    requests: new Map(),
    grants: new Map(),
    secrets: new Set(),
  };
}
