import type { KeyObject } from 'node:crypto';
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { Configuration } from '../configuration/configurationSchema.ts';
import type { AdvanceResult, SignedDecision } from '../contracts/events.ts';
import type { OpenResult, RequestOrder, RequestTarget } from '../contracts/open.ts';
import type { OpenedLedger } from '../ledger/openLedger.ts';
import type { LanesLimits } from './admission.ts';
import type { FlowAnalyst } from './analysis/analyst.ts';
import type { AnsweredCall } from './answeredCalls.ts';
import type { ApiKeyLookup } from './apiKeyLookup.ts';
import type { Directory } from './auth/authenticate.ts';
import type { GrantSigner } from './grants/signer.ts';
import type { RateLimits } from './limits.ts';
import type { LongPolls } from './longPoll.ts';

/** Everything the API works with; `main.ts` provides the real parts. */
export interface ApiDependencies {
  readonly configuration: Configuration;
  readonly ledger: OpenedLedger;
  readonly directory: Directory;
  /** The same ledger and directory over connections of their own: safety commands, which need nothing else, wait behind nobody. */
  readonly safety: { readonly ledger: OpenedLedger; readonly directory: Directory };
  readonly gateway: RequestGateway;
  readonly secrets: SecretSource;
  readonly analyst: FlowAnalyst;
  readonly findApiKey: ApiKeyLookup;
  readonly grantSigner: GrantSigner;
  readonly decisionSigning: { readonly keyId: string; readonly privateKey: KeyObject };
  readonly logger: Logger;
  /** For what callers may ask (an expiry in the future); what holds is decided by the ledger's clock. */
  readonly now: () => Date;
  /** Each that is left out is as by default. */
  readonly limits?: Partial<RateLimits>;
  readonly lanes?: Partial<LanesLimits>;
  /** Told of every call when it is answered: for metrics. */
  readonly onAnswered?: (call: AnsweredCall) => void;
  /** Comes before everything else: the root of each call's trace. */
  readonly traced?: RequestHandler;
}

/** What routes work with besides. */
export interface RouteDependencies extends ApiDependencies {
  readonly longPolls: LongPolls;
}

/** The durable way: what a workflow opens and decides. Every call throws when its outcome is unknown. */
export interface RequestGateway {
  open(order: RequestOrder): Promise<OpenResult>;
  decide(target: RequestTarget, decision: SignedDecision): Promise<AdvanceResult>;
  /** Tells the request's workflow that its plan changed; the outbox does it too, so a failure here costs only time. */
  nudge(target: RequestTarget, requestId: string): Promise<void>;
  isReachable(): Promise<boolean>;
}

/** Where values come from; `main.ts` builds it from the adapters, which the API itself knows nothing of. */
export interface SecretSource {
  /** What the store serves now; undefined when nothing was ever promoted. @throws when the store cannot be reached */
  readLive(store: string, identityId: string): Promise<LiveSecret | undefined>;
  /** The name a consumer logs in with, where the issuer has one. */
  loginName(issuer: string, handle: string): string | undefined;
}

export type LiveSecret =
  | { readonly kind: 'value'; readonly epoch: number; readonly version: number; readonly value: string }
  | { readonly kind: 'tombstone'; readonly epoch: number };
