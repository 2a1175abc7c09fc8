import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import pg from 'pg';
import { installationApi } from '../../test/setup/installationApi.ts';
import { type InstallationPlace, installationParts } from '../../test/setup/installationParts.ts';
import { noLimits } from '../apiOverHttp.ts';

/**
 * A process that serves introspections: `node serverProcess.ts tenure|bare`, with the place as its first message. It answers
 * where, and ends when its parent leaves. Both have as many connections to PostgreSQL.
 */

export interface Serving {
  readonly url: string;
  readonly bearer: string;
  /** The issuer of its tokens; the bare one has none. */
  readonly issuer: string;
}

const [, , kind] = process.argv;

process.once('message', (place: InstallationPlace) => {
  void (kind === 'bare' ? serveBare(place) : serveTenure(place)).then((serving) => process.send?.(serving));
});
process.once('disconnect', () => process.exit());

/** The real API, with sign-in, logging and everything else; only its rate limits are far away. */
async function serveTenure(place: InstallationPlace): Promise<Serving> {
  const parts = await installationParts(place);
  const api = await installationApi({ ...parts, databaseUrl: place.databaseUrl }, { limits: noLimits });
  return {
    url: `${api.address}/oauth/introspect`,
    bearer: await api.tokenOfPipeline('search-server'),
    issuer: api.publicUrl,
  };
}

/** What the least of servers would do: read a form, read a row by its index, answer JSON. It looks at no bearer. */
async function serveBare({ databaseUrl }: InstallationPlace): Promise<Serving> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 });
  const app = express();
  app.post('/introspect', express.urlencoded({ extended: false }), async (req, res) => {
    const [, payload = ''] = String(req.body.token).split('.');
    const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    const { rows } = await pool.query({
      name: 'grant',
      text: 'SELECT * FROM "access_grant" WHERE "id" = $1',
      values: [jti],
    });
    res.json({ active: rows.length === 1, ...rows[0] });
  });
  const server = createServer(app);
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/introspect`, bearer: 'none', issuer: '' };
}
