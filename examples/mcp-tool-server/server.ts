import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler } from '@modelcontextprotocol/server';
import express, { type ErrorRequestHandler, type Express } from 'express';
import { type GrantRules, grantOf, requireGrant } from '../../integrations/resource-server/requireGrant.ts';
import { resourceMetadata } from '../../integrations/resource-server/resourceMetadata.ts';
import { needOf } from './needOf.ts';
import { type Papers, paperServer, tools } from './papers.ts';

const metadataPath = '/.well-known/oauth-protected-resource/mcp';

/**
 * An MCP server over streamable HTTP whose tools are served with a grant of Tenure only. Anyone may ask what tools there are;
 * each call of one needs a grant for its action, its paper and its workspace, and Tenure is asked each time if it stands.
 */
export function mcpToolServer({
  papers,
  ...rules
}: Pick<GrantRules, 'issuer' | 'audience' | 'publicUrl'> & {
  papers: Papers;
  bearer: () => string | Promise<string>;
}): Express {
  const { issuer, audience, publicUrl, bearer } = rules;
  const app = express();
  app.get(metadataPath, (_req, res) => {
    const actions = Object.values(tools).map(({ action }) => action);
    res.json(resourceMetadata({ resource: `${publicUrl}/mcp`, issuer, tool: 'search', actions }));
  });
  app.post(
    '/mcp',
    express.json({ limit: '64kb' }),
    requireGrant({
      issuer,
      audience,
      publicUrl,
      tool: 'search',
      needs: ({ body }) => needOf(body),
      introspect: { scopes: 'all', bearer },
      resourceMetadata: publicUrl + metadataPath,
    }),
    async (req, res) => {
      const grant = needOf(req.body) === 'nothing' ? undefined : grantOf(res);
      const handler = toNodeHandler(createMcpHandler(() => paperServer(papers, grant)));
      // The body that needOf read, not the bytes once more.
      await handler(req, res, req.body);
    },
  );
  app.all('/mcp', (_req, res) => void res.status(405).set('Allow', 'POST').end());
  app.use(answerErrors);
  return app;
}

const answerErrors: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) return next(error);
  const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
  const text = status < 500 && error instanceof Error ? error.message : 'The server failed.';
  res.status(status).json({ jsonrpc: '2.0', id: null, error: { code: -32600, message: text } });
};
