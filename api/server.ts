import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { isLedgerUnavailable } from '../ledger/queries/readiness.ts';
import { recordRefusalOfAgent } from './agentRefusals.ts';
import { tellAnswered } from './answeredCalls.ts';
import { authenticate } from './auth/authenticate.ts';
import { setAnonymous } from './auth/principal.ts';
import { docsPages } from './docs.ts';
import { formBody } from './formBody.ts';
import { accepted, jsonBody, largestBodyBytes } from './jsonBody.ts';
import {
  defaultRateLimits,
  limitAnalyses,
  limitFrequent,
  limitPerAddress,
  limitPerPrincipal,
  limitRefused,
  type RateLimits,
} from './limits.ts';
import { logRefused, requestLogging } from './logging.ts';
import { openApiDocument } from './openApi.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem, problemHandler } from './problem.ts';
import type { Route } from './route.ts';
import { apiRoutes } from './routes/all.ts';

/** The whole HTTP API over what `deps` provide; it holds no state of its own and opens nothing. */
export function createApi(deps: ApiDependencies): Express {
  const app = express();
  app.disable('x-powered-by');
  // Nothing here may be stored, so nothing can be asked for only if it changed.
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  if (deps.traced !== undefined) app.use(deps.traced);
  if (deps.onAnswered !== undefined) app.use(tellAnswered(deps.onAnswered));
  const limits = { ...defaultRateLimits, ...deps.limits };
  const routes = apiRoutes(deps);
  const mount = mounting(app, deps, limits);
  const headers = securityHeaders(deps.configuration.publicUrl);
  // First, and past what only other routes need: resource servers wait there at every call of theirs.
  for (const route of routes) if (route.isFrequent === true) mount(route, [logRefused(deps.logger), headers]);
  app.use(requestLogging(deps.logger), headers, limitPerAddress(limits));

  const document = openApiDocument(routes, deps.configuration.publicUrl);
  app.use(docsPages(document));
  for (const route of routes) if (route.isFrequent !== true) mount(route);
  // After all of them: an address may be that of one route by its words and of another by its parameters.
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path))
    app.all(expressPath(path), refuseMethod(ofPath.map(({ method }) => method.toUpperCase())));

  app.use((req) => {
    throw new Problem('not-found', `There is nothing at ${req.method} here. The resources are listed at /docs.`);
  });
  app.use(problemHandler(deps.logger, isLedgerUnavailable));
  return app;
}

function mounting(
  app: Express,
  deps: ApiDependencies,
  limits: RateLimits,
): (route: Route, before?: readonly RequestHandler[]) => void {
  const authenticated = authenticate(deps);
  const signIn = [authenticated, limitPerPrincipal(limits)];
  const frequentSignIn = [limitRefused(limits), authenticated, limitFrequent(limits)];
  const analysis = [limitAnalyses(limits)];
  const refusalOfAgent = recordRefusalOfAgent(deps.ledger);
  const open: RequestHandler[] = [
    (_req, res, next) => {
      setAnonymous(res);
      next();
    },
  ];
  return (route, before = []) => {
    app[route.method](
      expressPath(route.path),
      ...before,
      noStore,
      accepted(route.reply.media ?? 'application/json'),
      ...(route.access === 'anyone' ? open : route.isFrequent === true ? frequentSignIn : signIn),
      ...(route.isAnalysis === true ? analysis : []),
      (route.form === true ? formBody : jsonBody)(route.largestBodyBytes ?? largestBodyBytes),
      route.answer,
      ...(route.isOfAgents === true ? [refusalOfAgent] : []),
    );
  };
}

function expressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** Everything here is about somebody's identities: no cache keeps any of it. */
const noStore: RequestHandler = (_req, res, next) => {
  res.set('Cache-Control', 'no-store');
  next();
};

function refuseMethod(methods: readonly string[]): RequestHandler {
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort().join(', ');
  return (req) => {
    throw new Problem('method-not-allowed', `This resource does not take ${req.method}. It takes ${allow}.`, {
      headers: { Allow: allow },
    });
  };
}

/** They are the same for every call, so helmet is asked once. */
function securityHeaders(publicUrl: string): RequestHandler {
  const headers: [string, string][] = [];
  const answer = new ServerResponse(new IncomingMessage(new Socket()));
  helmetOf(publicUrl)(answer.req, answer, () => {
    for (const [name, value] of Object.entries(answer.getHeaders())) headers.push([name, String(value)]);
  });
  return (_req, res, next) => {
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
}

function helmetOf(publicUrl: string): ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
    },
    strictTransportSecurity: publicUrl.startsWith('https:') ? { maxAge: 31_536_000 } : false,
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  });
}
