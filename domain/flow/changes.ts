import type { Approver } from '../decisions.ts';
import type { JsonObject } from '../evidence/canonicalJson.ts';
import { credentialTransitions } from '../states.ts';
import type { StepUpAsk } from '../stepUp.ts';
import type { AmendedSubject, SignedDecision } from './events.ts';
import { identityFactsOf } from './facts.ts';
import { endHolds } from './heldTime.ts';
import type { Receipt } from './plan.ts';
import type { PublicationItem } from './publication.ts';
import type { Risk } from './risk.ts';
import { type CredentialFacts, identityIn, type LedgerFacts, type VoidReason } from './state.ts';

/**
 * What a transaction does to the ledger besides the request's own row. `advance` lists them; `ledger/applyChange.ts`
 * carries each out and appends its evidence; `applyChange` below does the same to facts, for planning and for pure tests.
 */
export type Change =
  | { readonly change: 'mint'; readonly version: number; readonly leaseEndsAt: string }
  | { readonly change: 'renew-lease'; readonly version: number; readonly leaseEndsAt: string }
  | { readonly change: 'stage'; readonly version: number; readonly fingerprint: string }
  | { readonly change: 'retire'; readonly version: number }
  | { readonly change: 'make-current'; readonly version: number; readonly epoch: number; readonly expiresAt: string }
  | { readonly change: 'record-promote'; readonly version: number; readonly epoch: number }
  | { readonly change: 'record-quarantine'; readonly epoch: number }
  | { readonly change: 'destroy'; readonly version: number; readonly because: string }
  /** The issuer confirmed, but a late creation may still land until the lease ends: swept then. */
  | { readonly change: 'record-receipt'; readonly version: number; readonly receipt: Receipt }
  | { readonly change: 'destroyed'; readonly version: number; readonly receipt: Receipt }
  /** `reviewBy`: by when its first review must be complete. */
  | { readonly change: 'activate-identity'; readonly reviewBy: string }
  | { readonly change: 'reject-identity' }
  /** The whole transaction of a revocation: state, epoch, credentials, and the identity's other open requests. */
  | { readonly change: 'begin-revocation'; readonly epoch: number }
  | { readonly change: 'finish-revocation' }
  /** What is decided on, where no decision that counts is on the same. */
  | { readonly change: 'record-case-file'; readonly digest: string; readonly caseFile: JsonObject }
  /** `risk`: as it was shown; absent without weights. */
  | {
      readonly change: 'record-decision';
      readonly decision: SignedDecision;
      readonly approver: Approver;
      readonly risk?: Risk;
    }
  | {
      readonly change: 'withdraw-decision';
      readonly what: 'decision' | 'proof';
      readonly decisionId: string;
      readonly withdrawal: SignedDecision;
    }
  /** One that counts no more makes room for another of the same person. */
  | {
      readonly change: 'void-decision';
      readonly what: 'decision' | 'proof';
      readonly decisionId: string;
      readonly because: VoidReason;
    }
  | { readonly change: 'pause'; readonly by: string; readonly reason: string }
  | { readonly change: 'resume'; readonly by: string; readonly all: boolean; readonly reason: string }
  | { readonly change: 'amend'; readonly by: string; readonly subject: AmendedSubject; readonly reason: string }
  /** All of a review at once; `thaws` are freezes that let the subject go. */
  | ({
      readonly change: 'complete-review';
      readonly scopes?: readonly string[];
      readonly newOwner?: string;
      readonly thaws: readonly string[];
      readonly reviewBy: string;
      /** `highestVersion`: this one and those before it are to be replaced. */
    } & ({ readonly reissue: false } | { readonly reissue: true; readonly highestVersion: number }))
  /** `order`: the review that ordered it. */
  | { readonly change: 'deliver-reissue'; readonly order: string; readonly version: number }
  | { readonly change: 'waive-reissue'; readonly order: string; readonly by: string; readonly reason: string }
  /** `expiresAt`: RFC 3339. `onBehalfOf`: absent when the agent acts for itself. */
  | ({
      readonly change: 'grant';
      readonly grantId: string;
      readonly onBehalfOf?: string;
      readonly expiresAt: string;
    } & Omit<StepUpAsk, 'ttl'>)
  | ({ readonly change: 'publish-flow'; readonly digest: string } & Pick<
      PublicationItem,
      'name' | 'operation' | 'replaces'
    >)
  | ({ readonly change: 'retire-flow'; readonly replaces: string } & Pick<PublicationItem, 'name' | 'operation'>)
  | {
      readonly change: 'stopped-by-freeze';
      readonly freezeIds: readonly string[];
      readonly what: 'begin' | 'commit' | 'cancel';
    }
  | { readonly change: 'notify'; readonly to: readonly string[]; readonly about: string };

/**
 * The facts after a change. Decisions, pauses and amendments are read again by the ledger, so only what planning needs
 * is carried here.
 * @throws TransitionRefused when a credential cannot go there: a defect in `advance`, never a user's mistake
 */
export function applyChange(facts: LedgerFacts, change: Change): LedgerFacts {
  switch (change.change) {
    case 'mint':
      return {
        ...facts,
        identity: { ...identityIn(facts), highestVersion: change.version },
        credentials: [
          ...facts.credentials,
          {
            version: change.version,
            state: 'minting',
            requestId: facts.request.id,
            leaseEndsAt: change.leaseEndsAt,
            hasReceipt: false,
          },
        ],
      };
    case 'renew-lease':
      return withCredential(facts, change.version, (credential) => ({
        ...credential,
        leaseEndsAt: change.leaseEndsAt,
      }));
    case 'stage':
      return withState(facts, change.version, 'staged');
    case 'retire':
      return withState(facts, change.version, 'retiring');
    case 'make-current': {
      const current = withState(facts, change.version, 'current');
      const epochTaken = { ...current, identity: { ...identityIn(current), epoch: change.epoch }, acknowledgedBy: [] };
      return withCredential(epochTaken, change.version, (credential) => ({
        ...credential,
        expiresAt: change.expiresAt,
      }));
    }
    case 'record-promote':
      return withCredential(facts, change.version, (credential) => ({ ...credential, promotedEpoch: change.epoch }));
    case 'destroy':
      return withState(facts, change.version, 'destroying');
    case 'record-receipt':
      return withCredential(facts, change.version, (credential) => ({ ...credential, hasReceipt: true }));
    case 'destroyed':
      return { ...facts, credentials: facts.credentials.filter(({ version }) => version !== change.version) };
    case 'activate-identity':
      return { ...facts, identity: { ...identityIn(facts), state: 'active' } };
    case 'reject-identity':
      return { ...facts, identity: { ...identityIn(facts), state: 'rejected' } };
    case 'begin-revocation':
      return {
        ...facts,
        identity: {
          ...identityIn(facts),
          state: ['requested', 'rejected'].includes(identityIn(facts).state) ? 'rejected' : 'revoking',
          epoch: change.epoch,
        },
        credentials: facts.credentials.map((credential) => ({ ...credential, state: 'destroying' })),
      };
    case 'finish-revocation':
      return { ...facts, identity: { ...identityIn(facts), state: 'revoked' } };
    case 'record-decision': {
      const { version, id, stage, verdict, digest, authenticatedAt } = change.decision;
      if (verdict === 'withdraw') return facts;
      const signedIn = authenticatedAt === undefined ? {} : { authenticatedAt };
      const shown = version === undefined ? {} : { digest };
      return {
        ...facts,
        decisions: [...facts.decisions, { id, stage, verdict, approver: change.approver, ...signedIn, ...shown }],
      };
    }
    case 'withdraw-decision':
    case 'void-decision':
      return {
        ...facts,
        decisions: facts.decisions.filter(({ id }) => id !== change.decisionId),
        ...(facts.voidDecisions === undefined
          ? {}
          : { voidDecisions: facts.voidDecisions.filter(({ id }) => id !== change.decisionId) }),
      };
    case 'resume':
      return endHolds(facts, (hold) => hold.kind === 'pause' && (change.all || hold.by === change.by));
    case 'pause':
      return {
        ...facts,
        holds: [...facts.holds, { kind: 'pause', id: 'new', by: change.by, since: facts.guardFacts.now }],
      };
    case 'amend': {
      const { ownerId, ...subject } = change.subject;
      const guardFacts = identityFactsOf(facts.guardFacts);
      return {
        ...facts,
        request: { ...facts.request, revision: facts.request.revision + 1 },
        decisions: [],
        guardFacts: { ...guardFacts, subject: { ...guardFacts.subject, ...subject } },
        ...(ownerId === undefined ? {} : { parties: { ...facts.parties, ownerId } }),
      };
    }
    case 'complete-review': {
      const { scopes, newOwner, thaws } = change;
      const { parties } = facts;
      const guardFacts = identityFactsOf(facts.guardFacts);
      return {
        ...endHolds(facts, ({ id }) => thaws.includes(id)),
        ...(scopes === undefined ? {} : { guardFacts: { ...guardFacts, subject: { ...guardFacts.subject, scopes } } }),
        ...(newOwner === undefined ? {} : { parties: { ...parties, ownerId: newOwner } }),
      };
    }
    case 'deliver-reissue':
    case 'waive-reissue':
      return {
        ...facts,
        reissues: facts.reissues.map((order) => (order.id === change.order ? { ...order, isOwed: false } : order)),
      };
    case 'record-case-file':
    case 'record-quarantine':
    case 'grant':
    case 'publish-flow':
    case 'retire-flow':
    case 'stopped-by-freeze':
    case 'notify':
      return facts;
  }
}

function withState(facts: LedgerFacts, version: number, state: CredentialFacts['state']): LedgerFacts {
  return withCredential(facts, version, (credential) => {
    if (!credentialTransitions[credential.state].includes(state)) {
      throw new TransitionRefused(identityIn(facts).id, version, credential.state, state);
    }
    return { ...credential, state };
  });
}

function withCredential(
  facts: LedgerFacts,
  version: number,
  edit: (credential: CredentialFacts) => CredentialFacts,
): LedgerFacts {
  return {
    ...facts,
    credentials: facts.credentials.map((credential) =>
      credential.version === version ? edit(credential) : credential,
    ),
  };
}

export class TransitionRefused extends Error {
  override readonly name = 'TransitionRefused';
  constructor(identityId: string, version: number, from: string, to: string) {
    super(
      `Credential ${identityId}-v${version} cannot go from ${from} to ${to}. This is a defect in Tenure: report it with the request's timeline.`,
    );
  }
}
