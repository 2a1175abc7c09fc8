import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { type ApiAccess, accessOptions, callApi, requireUrl } from './apiCalls.ts';
import { CommandFailed, exitCodes } from './exitCodes.ts';
import { registerFreezeReviews } from './freezeReviews.ts';
import { coloured, printJson, printLine, printTable } from './output.ts';

const count = z.int();
const progress = { waiting: count, underWay: count, revoked: count, stuck: count, letGo: count };
const residual = z.object({ identityId: z.string(), version: count, what: z.string(), until: z.string().nullable() });

/** What is read of an answer; `--json` prints all of it. */
const massRevocation = z.looseObject({
  id: z.string(),
  freezeId: z.string(),
  state: z.enum(['running', 'paused', 'closed']),
  total: z.object(progress),
  issuers: z.array(z.object({ issuer: z.string(), ...progress })),
  report: z
    .looseObject({
      seconds: count,
      receipts: z.object({ tried: count, absent: count, unverifiable: count, missing: count }),
      resolvedByHand: z.looseObject({ count }),
      residual: z.looseObject({ count, worst: residual.nullable() }),
    })
    .nullable(),
});
const detail = massRevocation.extend({
  stuck: z.array(
    z.object({ identityId: z.string(), identityName: z.string(), requestId: z.string().nullable(), error: z.string() }),
  ),
});
type Detail = z.output<typeof detail>;

type Options = ApiAccess & { readonly json?: true };

const lookEveryMs = 1_000;

/**
 * `tenure freeze review` and `reviews`, in freezeReviews.ts; `revoke`, `revocation`, `pause-revocation` and
 * `resume-revocation`: exit 1 when something can still be used, or is stuck.
 */
export function registerFreeze(program: Command): void {
  const [url, token] = accessOptions('a responder');
  const freeze = program.command('freeze').description('review or revoke what a freeze holds, and follow it');
  registerFreezeReviews(freeze);

  freeze
    .command('revoke')
    .description("revoke everything that a freeze's subjects hold, and follow it to its end; it is not undone")
    .argument('<freeze>', "the freeze's id")
    .requiredOption('--reason <reason>', 'why; kept in the evidence')
    .option(
      '--confirm <count>',
      'how many identities you expect at most; without it, you are told how many',
      wholeNumber,
    )
    .option('--no-follow', 'return as soon as it is accepted')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the last answer as JSON')
    .action(async (freezeId: string, options: Options & { reason: string; confirm?: number; follow: boolean }) => {
      requireUrl(options.url);
      const { reason, confirm } = options;
      const body = { reason, ...(confirm === undefined ? {} : { confirm }) };
      const post = { body, key: randomUUID() };
      const started = await callApi(options, { path: pathOf(freezeId), post }, massRevocation);
      if (!options.json)
        printLine(`Mass revocation ${started.id} of freeze ${freezeId} has begun; Ctrl-C does not end it.`);
      await tell(options, started, options.follow);
    });

  freeze
    .command('revocation')
    .description('how far the newest mass revocation of a freeze is, what is stuck, and what can still be used')
    .argument('<freeze>', "the freeze's id")
    .option('--follow', 'until it is closed, or only stuck ones are left')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the last answer as JSON')
    .action(async (freezeId: string, options: Options & { follow?: true }) => {
      requireUrl(options.url);
      await tell(options, await newestOf(options, freezeId), options.follow === true);
    });

  for (const [verb, description] of [
    ['pause', 'begin nothing more of the newest mass revocation of a freeze; what was begun goes on to its end'],
    ['resume', 'go on with the newest mass revocation of a freeze'],
  ] as const) {
    freeze
      .command(`${verb}-revocation`)
      .description(description)
      .argument('<freeze>', "the freeze's id")
      .requiredOption('--reason <reason>', 'why; kept in the evidence')
      .addOption(url)
      .addOption(token)
      .option('--json', 'print the answer as JSON')
      .action(async (freezeId: string, options: Options & { reason: string }) => {
        requireUrl(options.url);
        const { id } = await newestOf(options, freezeId);
        const post = { body: { reason: options.reason }, key: randomUUID() };
        await callApi(options, { path: `${pathOf(freezeId)}/${id}/${verb}`, post }, massRevocation);
        await tell(options, { freezeId, id }, false);
      });
  }
}

async function newestOf(options: Options, freezeId: string): Promise<{ freezeId: string; id: string }> {
  const page = z.object({ items: z.array(massRevocation) });
  const { items } = await callApi(options, { path: `${pathOf(freezeId)}?limit=1` }, page);
  const [newest] = items;
  if (newest !== undefined) return newest;
  throw new CommandFailed(
    'unavailable',
    `Freeze ${freezeId} has no mass revocation. Begin one: tenure freeze revoke ${freezeId} --reason <reason>`,
  );
}

const pathOf = (freezeId: string) => `/v1/freezes/${encodeURIComponent(freezeId)}/revocations`;

/** Follows if asked to, then says how it stands; the exit code answers whether all is gone. */
async function tell(options: Options, of: { freezeId: string; id: string }, isFollowed: boolean): Promise<void> {
  const look = () => callApi(options, { path: `${pathOf(of.freezeId)}/${of.id}` }, detail);
  let now = await look();
  for (let shown = ''; isFollowed && isMoving(now); now = await look()) {
    const line = progressLine(now);
    if (!options.json && line !== shown) printLine(line);
    shown = line;
    await wait(lookEveryMs);
  }
  if (options.json) printJson(now);
  else printStanding(now);
  const isAllGone = now.state !== 'closed' || now.report?.residual.count === 0;
  if (!isAllGone || now.stuck.length > 0) process.exitCode = exitCodes.checkFailed.code;
}

/** Something will change without a person. */
function isMoving({ state, total }: Detail): boolean {
  return (
    state !== 'closed' && (total.underWay > 0 || (state === 'running' && (total.waiting > 0 || total.stuck === 0)))
  );
}

function progressLine({ total: { waiting, underWay, revoked, stuck } }: Detail): string {
  return `${revoked} revoked, ${underWay} under way, ${waiting} waiting${stuck === 0 ? '' : `, ${stuck} stuck`}`;
}

function printStanding(now: Detail): void {
  const { state, total, issuers, stuck, report, freezeId } = now;
  const colour = state === 'closed' && report?.residual.count === 0 ? 'green' : 'yellow';
  printLine(`${coloured(colour, state)}: ${progressLine(now)}${total.letGo === 0 ? '' : `, ${total.letGo} let go`}.`);
  printTable(
    ['issuer', 'waiting', 'under way', 'revoked', 'stuck', 'let go'],
    issuers.map((each) => [
      each.issuer,
      ...[each.waiting, each.underWay, each.revoked, each.stuck, each.letGo].map(String),
    ]),
  );
  for (const { identityId, identityName, requestId, error } of stuck)
    printLine(
      `${coloured('red', 'stuck')}: ${identityName} (${identityId}), request ${requestId ?? 'not open'}: ${error}`,
    );
  if (report !== null) printReport(report);
  else if (stuck.length > 0)
    printLine('Mend the cause, or vouch for it: POST /v1/requests/<request>/resolution with version and reason.');
  else printLine(`Follow it: tenure freeze revocation ${freezeId} --follow`);
}

function printReport({ seconds, receipts, resolvedByHand, residual: left }: NonNullable<Detail['report']>): void {
  const { tried, absent, unverifiable, missing } = receipts;
  printLine(`Receipts: ${tried} tried, ${absent} absent, ${unverifiable} unverifiable, ${missing} missing.`);
  printLine(`${resolvedByHand.count} were resolved by hand. It took ${seconds} seconds.`);
  const { worst } = left;
  if (worst === null) printLine('Nothing of it can be used any more.');
  else
    printLine(
      `${left.count} can still be used; the longest: ${worst.what} of identity ${worst.identityId}, until ${worst.until ?? 'nobody knows when'}.`,
    );
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
