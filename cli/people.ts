import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { z } from 'zod';
import { type ApiAccess, accessOptions, callApi, requireUrl } from './apiCalls.ts';
import { printJson, printLine, printTable } from './output.ts';

const person = z.looseObject({
  id: z.string(),
  name: z.string(),
  active: z.boolean(),
  addresses: z.array(z.string()),
  accounts: z.array(z.looseObject({ provider: z.string().nullable(), subject: z.string(), isVouched: z.boolean() })),
});
const linked = z.looseObject({
  state: z.enum(['proposed', 'linked']),
  personId: z.string(),
  mergedId: z.string().nullable(),
});

type Options = ApiAccess & { readonly json?: true };

/** `tenure people list` and `link`. */
export function registerPeople(program: Command): void {
  const people = program.command('people').description('who somebody is, and whose accounts are whose');
  const [url, token] = accessOptions('an administrator');

  people
    .command('list')
    .description('people with their addresses and accounts')
    .option('--name <part>', 'part of the name')
    .option('--address <address>', 'an e-mail address')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the answer as JSON')
    .action(async (options: Options & { name?: string; address?: string }) => {
      requireUrl(options.url);
      const query = new URLSearchParams({ limit: '200' });
      if (options.name !== undefined) query.set('name', options.name);
      if (options.address !== undefined) query.set('address', options.address);
      const page = z.object({ items: z.array(person), nextCursor: z.string().nullable() });
      const { items, nextCursor } = await callApi(options, { path: `/v1/people?${query}` }, page);
      if (options.json) return printJson(items);
      printTable(
        ['id', 'name', 'active', 'addresses', 'accounts'],
        items.map(({ id, name, active, addresses, accounts }) => [
          ...[id, name, active ? 'yes' : 'no', addresses.join(' ')],
          accounts.map((a) => `${a.provider ?? 'gone'}/${a.subject}${a.isVouched ? '' : ' (unvouched)'}`).join(' '),
        ]),
      );
      if (nextCursor !== null) printLine('There are more. Narrow it with --name or --address.');
    });

  people
    .command('link')
    .description('make an account a person’s: one administrator proposes it, another confirms it by the same command')
    .argument('<person>', "the person's id, or new for somebody who is not known yet")
    .requiredOption('--provider <name>', 'the provider, as tenure.yaml names it')
    .requiredOption('--subject <subject>', 'what its tokens say as sub')
    .requiredOption('--reason <reason>', 'why; kept in the evidence')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the answer as JSON')
    .action(async (id: string, options: Options & { provider: string; subject: string; reason: string }) => {
      requireUrl(options.url);
      const { provider, subject, reason } = options;
      const post = { body: { provider, subject, reason }, key: randomUUID() };
      const answer = await callApi(options, { path: `/v1/people/${encodeURIComponent(id)}/accounts`, post }, linked);
      if (options.json) return printJson(answer);
      const { state, personId, mergedId } = answer;
      if (state === 'linked')
        printLine(
          `Linked: the account is ${personId}'s${mergedId === null ? '' : `, and ${mergedId} is the same person`}.`,
        );
      else
        printLine(
          `Proposed. Another administrator confirms it: tenure people link ${personId} --provider ${provider} --subject ${subject} --reason <reason>`,
        );
    });
}
