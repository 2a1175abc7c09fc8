import { z } from 'zod';
import type { Role } from '../../configuration/configurationSchema.ts';
import type { Command } from '../../contracts/events.ts';
import type { ProblemSlug } from '../../domain/problems.ts';
import { idOfCall } from '../../ledger/callIds.ts';
import { giveCommand } from '../../ledger/commands.ts';
import type { RequestSituation } from '../../ledger/queries/requests.ts';
import { agentPolicyOf } from '../../ledger/stepUpAsk.ts';
import type { Principal } from '../auth/principal.ts';
import { requireStanding } from '../auth/standing.ts';
import { visibleRequest } from '../findVisible.ts';
import { bindKey, keyedCall } from '../keyedCall.ts';
import { peopleNamed, personNamed } from '../namedPeople.ts';
import { nudgeSoon } from '../nudge.ts';
import { requireOnboardable } from '../onboardingChecks.ts';
import type { ApiDependencies } from '../ports.ts';
import { invalidRequest, Problem, refusalProblem } from '../problem.ts';
import { consumers, Id, Instant, noQuery, person, Reason, scopes, text } from '../representations/fields.ts';
import { RequestBody, requestBody, requestExample } from '../representations/request.ts';
import { defineRoute, type Route } from '../route.ts';

const Reasoned = z.strictObject({ reason: Reason }).meta({ id: 'Reasoned' });
const example = { reason: 'Waiting for the incident review, ticket 4711' };

interface CommandRoute<B extends z.ZodObject> {
  readonly verb: 'pause' | 'resume' | 'cancel' | 'retry' | 'rollback' | 'resolution' | 'amendments';
  readonly summary: string;
  readonly description: string;
  readonly kinds: readonly Principal['kind'][];
  readonly roles: readonly Role[];
  /**
   * Whom the request concerns may give the command too. `openers` are who asked for it first, and the person behind: whoever
   * joined asked for the same, and has no say over what the others asked for. `requesters` leaves the owner out.
   */
  readonly concerned: 'openers-and-owner' | 'requesters-and-owner' | 'requesters' | 'nobody';
  readonly body: B;
  readonly bodyExample: z.input<B>;
  readonly problems: readonly ProblemSlug[];
  command(body: z.output<B>, by: string, principal: Principal, request: RequestSituation): Command | Promise<Command>;
}

/** What stops harm, and lets go on what was stopped by mistake. */
const isSafety: Readonly<Record<CommandRoute<z.ZodObject>['verb'], boolean>> = {
  pause: true,
  resume: true,
  cancel: true,
  retry: false,
  rollback: false,
  resolution: false,
  amendments: false,
};

/** Commands commit in the API's own transaction, Temporal up or down; the workflow is told afterwards. */
export function commandRoutes(deps: ApiDependencies): Route[] {
  const route = <B extends z.ZodObject>(definition: CommandRoute<B>): Route => commandRoute(deps, definition);
  return [
    route({
      verb: 'pause',
      summary: 'Pause a request',
      description:
        'Nothing is issued, committed or retired until everyone who paused has resumed. Decisions are still taken, and deadlines run on. While a re-issue that a review ordered is owed, only a responder pauses a rotation of the identity.',
      kinds: ['person', 'pipeline'],
      roles: ['responder', 'admin'],
      concerned: 'openers-and-owner',
      body: Reasoned,
      bodyExample: example,
      problems: ['not-pausable', 'responder-only'],
      command: ({ reason }, by, principal) => ({ do: 'pause', by, reason, ...asResponder(principal) }),
    }),
    route({
      verb: 'resume',
      summary: 'Lift your pause',
      description: "Lifts your own pause; with `all`, which responders and administrators may say, everybody's.",
      kinds: ['person', 'pipeline'],
      roles: ['responder', 'admin'],
      concerned: 'requesters-and-owner',
      body: z.strictObject({ reason: Reason, all: z.boolean().default(false) }).meta({ id: 'Resumption' }),
      bodyExample: { reason: 'Review done' },
      problems: ['not-paused'],
      command({ reason, all }, by, principal) {
        if (all && !principal.roles.some((role) => role === 'responder' || role === 'admin'))
          throw new Problem(
            'forbidden',
            `${by} may lift only their own pause; all of them is for responders and administrators.`,
          );
        return { do: 'resume', by, reason, all };
      },
    }),
    route({
      verb: 'cancel',
      summary: 'Cancel a request',
      description:
        'What was made and not committed is destroyed. After the commit a rotation is rolled back instead. What a review ordered to be re-issued, only a responder cancels.',
      kinds: ['person', 'pipeline'],
      roles: ['responder', 'admin'],
      concerned: 'openers-and-owner',
      body: Reasoned,
      bodyExample: { reason: 'No longer needed' },
      problems: ['committed', 'not-cancellable', 'responder-only'],
      command: ({ reason }, by, principal) => ({ do: 'cancel', by, reason, ...asResponder(principal) }),
    }),
    route({
      verb: 'retry',
      summary: 'Try a stuck step again now',
      description: 'Instead of waiting for the next attempt.',
      kinds: ['person', 'pipeline'],
      roles: ['responder', 'admin'],
      concerned: 'requesters-and-owner',
      body: Reasoned,
      bodyExample: { reason: 'The database is back' },
      problems: ['not-stuck'],
      command: ({ reason }, by) => ({ do: 'retry', by, reason }),
    }),
    route({
      verb: 'rollback',
      summary: 'Serve the previous credential again',
      description:
        'Within the grace window of a rotation, also under a freeze. The new credential then retires. To a version that a review ordered to be replaced, only a responder goes back.',
      kinds: ['person', 'pipeline'],
      roles: ['responder', 'admin'],
      concerned: 'openers-and-owner',
      body: Reasoned,
      bodyExample: { reason: 'The new login fails in one region' },
      problems: ['not-rollbackable', 'responder-only'],
      command: ({ reason }, by, principal) => ({ do: 'rollback', by, reason, ...asResponder(principal) }),
    }),
    route({
      verb: 'resolution',
      summary: 'Vouch for a destroy that the issuer cannot confirm',
      description: 'The receipt then says `unverifiable`, with your reason.',
      kinds: ['person'],
      roles: ['responder', 'admin'],
      concerned: 'nobody',
      body: z.strictObject({ version: z.int().min(1), reason: Reason }).meta({ id: 'Resolution' }),
      bodyExample: { version: 1, reason: 'The database was decommissioned on 2026-11-20' },
      problems: ['not-stuck'],
      command: ({ reason, version }, by) => ({ do: 'resolve', by, reason, version }),
    }),
    route({
      verb: 'amendments',
      summary: 'Change what is asked for',
      description:
        'Before anything is issued. Takes the next revision: earlier decisions count no more. Checked as an onboarding is; refused where another flow or version would govern it now.',
      kinds: ['person'],
      roles: [],
      concerned: 'requesters',
      body: z
        .strictObject({
          purpose: text(2000).optional(),
          scopes: scopes.min(1).optional(),
          consumers: consumers.optional(),
          expiresAt: Instant.optional(),
          owner: person.optional(),
          reason: Reason,
        })
        .meta({ id: 'Amendment' }),
      bodyExample: { scopes: ['read'], reason: 'Write access is not needed after all' },
      problems: [
        'not-amendable',
        'flow-changed',
        'no-flow',
        'ambiguous-flow',
        'owner-not-valid',
        'ambiguous-address',
        'unknown-issuer',
        'unknown-store',
        'unsupported-scope',
      ],
      command: async ({ reason, ...asked }, by, _principal, request) => ({
        do: 'amend',
        by,
        reason,
        subject: await amendedSubject(asked, request, deps),
      }),
    }),
  ];
}

/** Only responders undo what an incident ordered; under the lock it is known whether one did. */
function asResponder({ roles }: Principal): { readonly byResponder?: true } {
  return roles.includes('responder') ? { byResponder: true } : {};
}

function commandRoute<B extends z.ZodObject>(deps: ApiDependencies, definition: CommandRoute<B>): Route {
  const { verb, summary, description, kinds, roles, concerned, body, bodyExample, problems } = definition;
  return defineRoute({
    method: 'post',
    ...(isSafety[verb] ? { isSafety: true as const } : {}),
    path: `/v1/requests/{requestId}/${verb}`,
    operationId: `${verb}Request`,
    ...(verb === 'pause' || verb === 'cancel' ? { takesUnvouched: true as const } : {}),
    tag: 'Requests',
    summary,
    description: `${description} For ${concerned === 'nobody' ? '' : `those it concerns${roles.length === 0 ? '' : ', and '}`}${roles.length === 0 ? '' : `the roles ${roles.join(', ')}`}.`,
    access: { kinds },
    params: z.strictObject({ requestId: Id }),
    query: noQuery,
    body,
    bodyExample,
    reply: { status: 200, description: 'Done: the request after it.', schema: RequestBody, example: requestExample },
    problems: ['not-found', 'request-closed', ...problems],
    async handle({ principal, params, body: asked, key }) {
      const request = await visibleRequest(deps, principal, params.requestId);
      requireStanding(principal, `${verb === 'amendments' ? 'amend' : verb} this request`, {
        roles,
        principals: concernedBy(request, concerned),
      });
      const call = keyedCall(verb, { principal, key, params, body: asked });
      const command = await definition.command(asked, principal.id, principal, request);
      await bindKey(deps, call);
      const { verdict } = await giveCommand(deps.ledger, {
        requestId: request.id,
        commandId: await idOfCall(deps.ledger, 'command', call, request.id),
        command,
      });
      if (!verdict.accepted) throw refusalProblem(verdict);
      nudgeSoon(deps, request);
      return { body: requestBody(await visibleRequest(deps, principal, request.id), principal) };
    },
  });
}

function concernedBy(
  { parties, asker }: RequestSituation,
  concerned: CommandRoute<z.ZodObject>['concerned'],
): readonly string[] {
  const owner = parties.ownerId === undefined ? [] : [parties.ownerId];
  const requesters = [...parties.requesters, ...parties.onBehalfOf];
  const concernedAs: Readonly<Record<CommandRoute<z.ZodObject>['concerned'], readonly string[]>> = {
    'openers-and-owner': [asker.requesterId, asker.onBehalfOf, ...owner],
    'requesters-and-owner': [...requesters, ...owner],
    requesters,
    nobody: [],
  };
  return concernedAs[concerned];
}

interface Amendment {
  readonly purpose?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly consumers?: readonly string[] | undefined;
  readonly expiresAt?: string | undefined;
  readonly owner?: string | undefined;
}

/** The identity as it would be afterwards is checked as an onboarding is. */
async function amendedSubject(
  { purpose, scopes: asked, consumers: readers, expiresAt, owner }: Amendment,
  { identity }: RequestSituation,
  deps: ApiDependencies,
) {
  if (identity === null)
    throw new Problem('not-amendable', 'A publication is bound to its content: ask for another one.');
  const subject = {
    ...(purpose === undefined ? {} : { purpose }),
    ...(asked === undefined ? {} : { scopes: asked }),
    ...(readers === undefined ? {} : { consumers: await peopleNamed(deps, readers) }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(owner === undefined ? {} : { ownerId: await personNamed(deps, owner) }),
  };
  if (Object.keys(subject).length === 0)
    throw invalidRequest([
      { field: 'body', message: 'must name something to change: purpose, scopes, consumers, expiresAt or owner' },
    ]);
  const { kind, issuer, store, scopes: present, consumers: presentReaders, expiresAt: presentExpiry } = identity;
  const policy = agentPolicyOf(identity);
  const before = { scopes: present, consumers: presentReaders, expiresAt: presentExpiry.toISOString() };
  requireOnboardable(deps, { kind, issuer, store, policy, ...before, ...subject });
  return subject;
}
