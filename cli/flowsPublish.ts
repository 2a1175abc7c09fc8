import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { z } from 'zod';
import { type ApiAccess, accessOptions, callApi, requireUrl } from './apiCalls.ts';
import { exitCodes } from './exitCodes.ts';
import { readFlowSet } from './flowSet.ts';
import { coloured, counted, printJson, printLine } from './output.ts';

/** What is read of an answer; `--json` prints all of it. */
const finding = z.looseObject({ file: z.string(), shown: z.string() });
const item = z.object({ name: z.string(), digest: z.string().nullable(), replaces: z.string().nullable() });
const told = z.looseObject({
  label: z.enum(['WEAKENS', 'STRENGTHENS', 'NEUTRAL']),
  was: z.string(),
  is: z.string(),
  because: z.string(),
});
const report = z.looseObject({
  changes: z.array(told.extend({ flow: z.string(), path: z.string() })),
  paths: z.array(told.extend({ on: z.string(), conditions: z.array(z.string()) })),
  tests: z.array(z.object({ flow: z.string(), passed: z.int() })),
  invariants: z.array(z.looseObject({ id: z.string() })),
  simulations: z.array(z.looseObject({ flow: z.string(), played: z.int(), changed: z.int() })),
});
const plan = z.looseObject({
  findings: z.array(finding),
  unchanged: z.array(z.string()),
  others: z.array(z.string()),
  publication: z.looseObject({ items: z.array(item), weakens: z.int() }).nullable(),
  report: report.nullable(),
});
type Plan = z.output<typeof plan>;
const request = z.looseObject({
  id: z.string(),
  state: z.string(),
  stage: z.string().nullable(),
  flow: z.object({ name: z.string() }),
});
const version = z.looseObject({ flow: z.looseObject({ stages: z.array(z.looseObject({ id: z.string() })) }) });

type Options = ApiAccess & { readonly json?: true };
interface SetOptions extends Options {
  readonly retireOthers?: true;
}

/** Exit code of a plan that would change something: not an error, and not nothing. */
const wouldChange = 2;

/** `tenure flows plan`, `apply` and `rollback`: a directory against what a running installation has published. */
export function registerFlowsPublish(flows: Command): void {
  const [url, token] = accessOptions('a flow author');

  flows
    .command('plan')
    .description('compare a directory of flows with what is published: what publishing it would mean')
    .argument('[directory]', 'where the flows and invariants.yaml are', 'flows')
    .option('--retire-others', 'also retire what is published and not in the directory')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the plan as JSON')
    .addHelpText('after', '\nExit code 0: nothing would change. 2: something would. 1: it cannot be published.')
    .action(async (directory: string, options: SetOptions) => {
      requireUrl(options.url);
      const { files, body } = await readSet(directory, options);
      const found = named(
        await callApi(options, { path: '/v1/flows/plan', post: { body, key: randomUUID() } }, plan),
        files,
      );
      if (found.findings.length > 0) process.exitCode = exitCodes.checkFailed.code;
      else if (found.publication !== null) process.exitCode = wouldChange;
      if (options.json) return printJson(found);
      printPlan(found);
    });

  flows
    .command('apply')
    .description('ask for a directory of flows to be published; `plan` says before what that means')
    .argument('[directory]', 'where the flows and invariants.yaml are', 'flows')
    .requiredOption('--reason <reason>', 'why; approvers read it, and it is kept in the evidence')
    .option('--retire-others', 'also retire what is published and not in the directory')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the request as JSON')
    .action(async (directory: string, options: SetOptions & { reason: string }) => {
      requireUrl(options.url);
      const { files, body } = await readSet(directory, options);
      const found = named(
        await callApi(options, { path: '/v1/flows/plan', post: { body, key: randomUUID() } }, plan),
        files,
      );
      if (found.findings.length > 0) {
        printPlan(found);
        process.exitCode = exitCodes.checkFailed.code;
        return;
      }
      if (found.publication === null)
        return printLine(`${coloured('green', 'Nothing to do')}: all of it is published already.`);
      const post = { body: { ...body, justification: options.reason }, key: randomUUID() };
      await tellRequest(options, await callApi(options, { path: '/v1/flows', post }, request));
    });

  flows
    .command('rollback')
    .description('ask for a version to rule again that was published before')
    .argument('<name>', 'the flow, or invariants')
    .argument('[digest]', 'which version; left out: the one before the present')
    .requiredOption('--reason <reason>', 'why; kept in the evidence')
    .addOption(url)
    .addOption(token)
    .option('--json', 'print the request as JSON')
    .action(async (name: string, digest: string | undefined, options: Options & { reason: string }) => {
      requireUrl(options.url);
      const body = { justification: options.reason, ...(digest === undefined ? {} : { digest }) };
      const path = `/v1/flows/${encodeURIComponent(name)}/rollback`;
      await tellRequest(options, await callApi(options, { path, post: { body, key: randomUUID() } }, request));
    });
}

/** A directory, and what is published without being in it, where that is to be retired. */
async function readSet(directory: string, { retireOthers, ...access }: SetOptions) {
  const documents = await readFlowSet(directory);
  const names = documents.map(({ name }) => name);
  const retire = retireOthers === true ? (await publishedNames(access)).filter((name) => !names.includes(name)) : [];
  return {
    files: documents.map(({ file }) => file),
    body: { flows: documents.map(({ file: _file, name: _name, ...document }) => document), retire },
  };
}

async function publishedNames(access: ApiAccess): Promise<readonly string[]> {
  const page = z.object({ items: z.array(z.looseObject({ name: z.string() })), nextCursor: z.string().nullable() });
  const names: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const path: string = `/v1/flows?limit=200${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const { items, nextCursor } = await callApi(access, { path }, page);
    names.push(...items.map(({ name }) => name));
    cursor = nextCursor;
  }
  return names;
}

/** The API knows files by their place; here they have names. */
function named(found: Plan, files: readonly string[]): Plan {
  const fileOf = (text: string): string =>
    text.replaceAll(/flows\[(\d+)\]/g, (place, at) => files[Number(at)] ?? place);
  const findings = found.findings.map((one) => ({ ...one, file: fileOf(one.file), shown: fileOf(one.shown) }));
  return { ...found, findings };
}

function printPlan({ findings, unchanged, others, publication, report: checked }: Plan): void {
  if (findings.length > 0) {
    printLine(`${coloured('red', 'Cannot be published')}: ${counted(findings.length, 'finding')}.`);
    for (const { shown } of findings) printLine(`\n${shown}`);
    return printLine('\nNothing was written. Correct these, then plan again.');
  }
  const items = publication?.items ?? [];
  if (items.length === 0)
    printLine(
      `${coloured('green', 'Nothing would change')}: ${counted(unchanged.length, 'document')} published exactly so.`,
    );
  else
    printLine(
      `${coloured('yellow', 'Would change')}: ${counted(items.length, 'document')}, ${unchanged.length} published exactly so.`,
    );
  for (const { name, digest, replaces } of items) {
    const what = digest === null ? 'retired' : replaces === null ? 'new' : 'changed';
    printLine(`  ${what.padEnd(8)} ${name}`);
  }
  for (const name of others) printLine(`  ${'only there'.padEnd(8)} ${name}`);
  if (checked !== null) printReport(checked);
  if (items.length > 0) printLine('\nAsk for it: tenure flows apply <directory> --reason <reason>');
}

const colours = { WEAKENS: 'red', STRENGTHENS: 'green', NEUTRAL: 'gray' } as const;

function printReport({ changes, paths, tests, invariants, simulations }: z.output<typeof report>): void {
  for (const { label, flow, path, was, is, because } of changes)
    printLine(
      `\n${coloured(colours[label], label)} ${flow}${path === '' ? '' : `: ${path}`}\n  ${was} → ${is}\n  ${because}`,
    );
  for (const { label, on, conditions, was, is, because } of paths) {
    printLine(`\n${coloured(colours[label], label)} ${on}: ${because}`);
    if (conditions.length > 0) printLine(`  if ${conditions.join('\n  and ')}`);
    printLine(`  was: ${was}\n  is:  ${is}`);
  }
  const passed = tests.reduce((sum, each) => sum + each.passed, 0);
  printLine(`\n${counted(passed, 'test')} passed, ${counted(invariants.length, 'invariant')} proved.`);
  for (const { flow, played, changed } of simulations)
    printLine(`${flow}: ${changed} of ${counted(played, 'recorded request')} would be decided otherwise.`);
}

/** Where it stands, who may approve it, and where to read it. */
async function tellRequest(options: Options, opened: z.output<typeof request>): Promise<void> {
  if (options.json) return printJson(opened);
  const { id, state, stage, flow } = opened;
  printLine(`Request ${id} is ${state}${stage === null ? '' : ` at stage ${stage}`} of ${flow.name}.`);
  const { flow: rules } = await callApi(options, { path: `/v1/flows/${encodeURIComponent(flow.name)}` }, version);
  const asked = approvers.safeParse(rules.stages.find((each) => each.id === stage));
  if (asked.success) {
    const { require: sources, separation } = asked.data.approval;
    const apart = separation.length === 0 ? '' : `, none of them ${separation.join(' or ')}`;
    printLine(`It needs ${sources.map(({ from, count }) => `${count} of ${from}`).join(' and ')}${apart}.`);
  }
  printLine(`Read it: ${options.url.replace(/\/$/, '')}/v1/requests/${id}`);
}

const approvers = z.looseObject({
  approval: z.looseObject({
    require: z.array(z.object({ from: z.string(), count: z.int() })),
    separation: z.array(z.string()),
  }),
});
