import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { z } from 'zod';
import { type ApiAccess, accessOptions, callApi, requireUrl } from './apiCalls.ts';
import { coloured, printJson, printLine, printTable, visible } from './output.ts';

const count = z.int();

/** What is read of an answer; `--json` prints all of it. */
const freezeReviews = z.looseObject({
  freezeId: z.string(),
  counts: z.object({ waiting: count, open: count, thawed: count, ended: count, refused: count }),
  missing: z.array(
    z.object({
      identityId: z.string(),
      identityName: z.string(),
      owner: z.string(),
      standing: z.enum(['waiting', 'open', 'ended', 'refused']),
      requestId: z.string().nullable(),
      because: z.string().nullable(),
    }),
  ),
});
type FreezeReviews = z.output<typeof freezeReviews>;

type Options = ApiAccess & { readonly json?: true };

/** `tenure freeze review` and `tenure freeze reviews`. */
export function registerFreezeReviews(freeze: Command): void {
  const [url, token] = accessOptions('a responder');
  const pathOf = (freezeId: string) => `/v1/freezes/${encodeURIComponent(freezeId)}/reviews`;

  freeze
    .command('review')
    .description('ask for the review of each identity that a freeze holds; again, for those that were not let go')
    .argument('<freeze>', "the freeze's id")
    .requiredOption('--reason <reason>', 'why; owners and approvers read it')
    .option('--reissue', 'replace each credential when its review has passed')
    .option('--new-owner <email>', 'who attests in the present owners\u2019 place, and owns them then')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the answer as JSON')
    .action(async (freezeId: string, options: Options & { reason: string; reissue?: true; newOwner?: string }) => {
      requireUrl(options.url);
      const { reason, reissue = false, newOwner } = options;
      const body = { reason, reissue, ...(newOwner === undefined ? {} : { newOwner }) };
      const post = { body, key: randomUUID() };
      print(options, await callApi(options, { path: pathOf(freezeId), post }, freezeReviews));
    });

  freeze
    .command('reviews')
    .description('how the reviews of what a freeze holds stand, and who is missing')
    .argument('<freeze>', "the freeze's id")
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the answer as JSON')
    .action(async (freezeId: string, options: Options) => {
      requireUrl(options.url);
      print(options, await callApi(options, { path: pathOf(freezeId) }, freezeReviews));
    });
}

function print({ json }: Options, reviews: FreezeReviews): void {
  if (json) return printJson(reviews);
  const { freezeId, counts, missing } = reviews;
  const { waiting, open, thawed, ended, refused } = counts;
  const needsSomebody = ended + refused > 0;
  const colour = needsSomebody ? 'yellow' : 'green';
  const line = `${thawed} let go, ${open} under way, ${waiting} to be asked, ${ended} ended without, ${refused} refused.`;
  printLine(coloured(colour, line));
  if (missing.length > 0)
    printTable(
      ['identity', 'owner', 'standing', 'request', 'because'],
      missing.map(({ identityName, owner, standing, requestId, because }) => [
        visible(identityName),
        owner,
        standing,
        requestId ?? '',
        because ?? '',
      ]),
    );
  if (waiting > 0) printLine(`The rest is asked within minutes. Look again: tenure freeze reviews ${freezeId}`);
  if (needsSomebody)
    printLine(`Mend what they say, then ask again: tenure freeze review ${freezeId} --reason <reason>`);
}
