import { z } from 'zod';
import type { Need } from '../../integrations/resource-server/challenge.ts';
import { resourceOf, tools } from './papers.ts';

/** What anyone may ask: who the server is and what tools there are. */
const openMethods = new Set([
  'initialize',
  'notifications/initialized',
  'notifications/cancelled',
  'ping',
  'server/discover',
  'tools/list',
]);

const message = z.looseObject({ jsonrpc: z.literal('2.0'), method: z.string(), params: z.unknown().optional() });
const toolCall = z.looseObject({ name: z.string(), arguments: z.unknown().optional() });

/** The message is not one that this server serves. */
export class NotServed extends Error {
  override readonly name = 'NotServed';
  readonly status = 400;
}

/**
 * What one MCP message needs a grant for.
 * @throws NotServed for everything that is not known to need nothing or exactly one grant: a batch, which could hide a call
 *   behind a harmless one, a method or tool that was added to the server and forgotten here, arguments that are not the tool's
 */
export function needOf(body: unknown): Need | 'nothing' {
  const parsed = message.safeParse(body);
  if (!parsed.success) throw new NotServed('Send one JSON-RPC request at a time.');
  const { method, params } = parsed.data;
  if (openMethods.has(method)) return 'nothing';
  if (method !== 'tools/call') throw new NotServed('This server serves tools only.');
  const call = toolCall.safeParse(params);
  const tool = call.success ? toolOf(call.data.name) : undefined;
  const input = tool?.input.safeParse(call.data?.arguments);
  if (tool === undefined || input?.success !== true)
    throw new NotServed('There is no such tool, or its arguments are not as its schema says.');
  return { action: tool.action, resource: resourceOf(input.data), workspace: input.data.workspace };
}

function toolOf(name: string) {
  return Object.entries(tools).find(([known]) => known === name)?.[1];
}
