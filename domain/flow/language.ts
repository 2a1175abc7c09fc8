/**
 * The flow language: what a flow file means once it is parsed. `parse.ts` makes these from YAML, `digest.ts` names a
 * version by its content, `advance.ts` runs it. Only plain JSON values, so that a flow has one canonical form (RFC 8785).
 */

export const requestKinds = [
  'onboarding',
  'step-up',
  'rotation',
  'revocation',
  'review',
  'invocation',
  'publication',
] as const;
export type RequestKind = (typeof requestKinds)[number];

export const identityKinds = ['service-account', 'api-key', 'certificate', 'agent', 'connector'] as const;
export type IdentityKind = (typeof identityKinds)[number];

/** Roles that `separation` keeps from deciding. Everyone who joined a request is a requester. */
export const separations = ['requester', 'onBehalfOf', 'owner', 'flowAuthor'] as const;
export type Separation = (typeof separations)[number];

/** How somebody proves afresh that it is them: a person by a sign-in, an agent by its key. */
export const stepUpMethods = ['session', 'agent-key'] as const;
export type StepUpMethod = (typeof stepUpMethods)[number];

/** Whose proof a `stepUp` stage asks for. */
export const stepUpParties = ['requester', 'owner', 'onBehalfOf', 'agent'] as const;
export type StepUpParty = (typeof stepUpParties)[number];

/** What a flow does at its end, one word for each kind of request. */
export const effects = ['issue', 'rotate', 'revoke', 'review', 'publish', 'grant'] as const;
export type Effect = (typeof effects)[number];

/** Versions of the language that this release reads; a file of another one is refused by its name. */
export const readableVersions = ['tenure/v1'] as const;

/** A CEL expression over the typed facts of its operation; false, an error and a missing fact all mean "no". */
export type Guard = string;

/** ISO 8601 duration without years and months (their length varies): `P1D`, `PT4H`, `P1DT12H`, `PT0.5S`. */
export type IsoDuration = string;

export interface Flow {
  readonly apiVersion: (typeof readableVersions)[number];
  readonly kind: 'Flow';
  readonly metadata: { readonly name: string; readonly owner: string; readonly description: string };
  readonly on: RequestKind;
  readonly subject: { readonly kind?: IdentityKind; readonly where?: Guard };
  readonly limits: FlowLimits;
  /** What `risk.score` is the sum of; without it, the score is 0. */
  readonly risk?: { readonly weights: readonly RiskWeight[] };
  readonly stages: readonly Stage[];
  /** Reviewed, published and bound by the digest with the rest of the flow. Absent when there are none. */
  readonly exceptions?: readonly FlowException[];
  readonly tests: readonly FlowTest[];
}

/** Stages that one subject need not pass, up to an instant. */
export interface FlowException {
  readonly id: string;
  readonly subject: ExceptionSubject;
  /** Ids of stages that people, guards or the clock decide; never the effect. */
  readonly stages: readonly string[];
  /** RFC 3339: from then on it waives nothing, by the ledger's clock. */
  readonly until: string;
  readonly because: string;
}

/** A name means the identity that is spelled exactly so: one that only looks like it is another. */
export type ExceptionSubject = { readonly name: string; readonly environment: string } | { readonly id: string };

export interface FlowLimits {
  /** How long an issued credential is accepted; never beyond the identity's own expiry. Default P90D. */
  readonly credentialTtl: IsoDuration;
  /** How long a request may wait for people before it ends `expired`. Default P3D. */
  readonly requestTtl: IsoDuration;
  /** How long consumers have to acknowledge a cutover before the old credential is retired. Default PT24H. */
  readonly grace: IsoDuration;
  /** How long nobody may have used the old credential before it is destroyed, where its issuer can tell. Not asked when left out. */
  readonly silence?: IsoDuration;
  /** How soon after an onboarding or a review the next review must be complete. P90D when left out. */
  readonly reviewEvery?: IsoDuration;
  /** Step-ups only: how long a grant lives at most, whatever the agent's policy allows. PT10M when left out. */
  readonly grantTtl?: IsoDuration;
}

/** A reason why a request is a risk, or is none: `add` counts where `when` holds. */
export interface RiskWeight {
  /** May not read `risk`. One that errors denies the request (promise 6). */
  readonly when: Guard;
  /** A whole number; what speaks against a risk is negative. */
  readonly add: number;
  /** Names the weight: approvers and evidence are shown it. */
  readonly because: string;
}

interface StageBase {
  readonly id: string;
  /** The stage is passed over unless this holds. A guard that errors denies the request (promise 6). */
  readonly when?: Guard;
}

export interface VerifyStage extends StageBase {
  readonly verify: { readonly that: Guard; readonly otherwise: string };
}

export interface ApprovalStage extends StageBase {
  readonly approval: {
    /** Every entry must be met; one approver counts for one entry only. */
    readonly require: readonly { readonly from: string; readonly count: number }[];
    readonly separation: readonly Separation[];
    readonly proof: 'session';
    readonly escalate?: { readonly after: IsoDuration; readonly to: string };
    readonly timeout: { readonly after: IsoDuration; readonly result: 'deny' | 'expire' };
    /** How many different people's denials end the request. 1 when left out. */
    readonly denials?: number;
  };
}

export interface StepUpStage extends StageBase {
  readonly stepUp: {
    readonly method: StepUpMethod;
    /** `requester` is the person who asked, or the one behind the machine that did. `agent` is the agent itself, by its key. */
    readonly by: StepUpParty;
    /** How old the sign-in, or what the agent signed, may be when the proof is given. */
    readonly maxAge: IsoDuration;
  };
}

/** A cooling-off: the request stands there until that long after it came there. */
export interface WaitStage extends StageBase {
  readonly wait: { readonly for: IsoDuration };
}

export interface EffectStage extends StageBase {
  readonly effect: Effect;
}

export interface NotifyStage extends StageBase {
  /** `owner`, `requester`, `approvers`, or `group:<name>`. */
  readonly notify: { readonly to: readonly string[] };
}

export type Stage = VerifyStage | StepUpStage | ApprovalStage | WaitStage | EffectStage | NotifyStage;

/** The key that only stages of this kind have. */
export function stageKind(stage: Stage): 'verify' | 'stepUp' | 'approval' | 'wait' | 'effect' | 'notify' {
  if ('verify' in stage) return 'verify';
  if ('stepUp' in stage) return 'stepUp';
  if ('approval' in stage) return 'approval';
  if ('wait' in stage) return 'wait';
  return 'effect' in stage ? 'effect' : 'notify';
}

/** A test of a flow: facts given, events in order, what must come out. Run by `tenure flows test`. */
export interface FlowTest {
  readonly name: string;
  readonly given: GivenFacts;
  readonly events: readonly FlowTestEvent[];
  readonly expect: FlowTestExpectation;
}

/** A file of its own for tests, beside the flow that it names by `metadata.name`. */
export interface FlowTests {
  readonly apiVersion: (typeof readableVersions)[number];
  readonly kind: 'FlowTests';
  readonly flow: string;
  readonly tests: readonly FlowTest[];
}

/** Partial facts; what is left out takes the neutral default of `testing.ts`. */
export type GivenFacts = { readonly [fact: string]: unknown };

export type FlowTestEvent =
  | { readonly decision: 'approve' | 'deny'; readonly by: string }
  /** A proof, by a sign-in that is so old; just now when left out. */
  | { readonly confirm: string; readonly age?: IsoDuration }
  | { readonly wait: IsoDuration }
  | { readonly freeze: true }
  | { readonly thaw: true }
  | { readonly pause: string }
  | { readonly resume: string }
  | { readonly cancel: string };

export interface FlowTestExpectation {
  /**
   * `waiting`: an approval or a proof is asked for, or a wait is not over; `issuing`: an effect has begun; `not-covered`: the flow is not for this subject;
   * otherwise the request's final state.
   */
  readonly outcome: 'waiting' | 'issuing' | 'held' | 'denied' | 'expired' | 'cancelled' | 'completed' | 'not-covered';
  /** The reason of a denial. */
  readonly reason?: string;
  /** Why the last decision or proof was refused. */
  readonly refused?: string;
  /** The stage the request stands at. */
  readonly stage?: string;
}
