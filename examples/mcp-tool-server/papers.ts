import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Grant } from '../../integrations/resource-server/grant.ts';

const place = {
  workspace: z
    .string()
    .regex(/^[a-z0-9-]+(\/[a-z0-9-]+)*$/)
    .max(80),
  paper: z
    .string()
    .regex(/^[a-z0-9-]+$/)
    .max(40),
};

/** The tools. The guard and the tool read a call by the same schema: what is checked is what is served. */
export const tools = {
  read_paper: { action: 'read', input: z.strictObject(place) },
  rewrite_paper: { action: 'write', input: z.strictObject({ ...place, text: z.string().max(10_000) }) },
} as const;

/** What a grant names as its resource. */
export function resourceOf({ paper }: { paper: string }): string {
  return `papers/${paper}`;
}

/** Texts by workspace and resource, with a colon between. A real server would ask a database. */
export type Papers = Map<string, string>;

/** The MCP server of one request. It checks nothing: `requireGrant` stands in front. */
export function paperServer(papers: Papers, grant: Grant | undefined): McpServer {
  const server = new McpServer({ name: 'papers', version: '1.0.0' });
  server.registerTool(
    'read_paper',
    { description: 'Reads a paper of a workspace.', inputSchema: tools.read_paper.input },
    (call) => said(papers.get(keyOf(call)) ?? 'There is no such paper.'),
  );
  server.registerTool(
    'rewrite_paper',
    { description: 'Replaces the text of a paper.', inputSchema: tools.rewrite_paper.input },
    (call) => {
      papers.set(keyOf(call), call.text);
      return said(`Rewritten by ${grant?.agent} for ${grant?.onBehalfOf?.person ?? 'itself'}.`);
    },
  );
  return server;
}

function keyOf(call: { workspace: string; paper: string }): string {
  return `${call.workspace}:${resourceOf(call)}`;
}

function said(text: string) {
  return { content: [{ type: 'text' as const, text }] };
}
