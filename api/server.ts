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
  type RateLimits,
} from './limits.ts';
import { requestLogging } from './logging.ts';
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
  const frequent = new Set(routes.filter(({ isFrequent }) => isFrequent === true).map(({ path }) => path));
  app.use(
    requestLogging(deps.logger, frequent),
    securityHeaders(deps.configuration.publicUrl),
    limitPerAddress(limits, frequent),
  );

  const document = openApiDocument(routes, deps.configuration.publicUrl);
  app.use(docsPages(document));
  mount(app, routes, deps, limits);

  app.use((req) => {
    throw new Problem('not-found', `There is nothing at ${req.method} here. The resources are listed at /docs.`);
  });
  app.use(problemHandler(isLedgerUnavailable));
  return app;
}

function mount(app: Express, routes: readonly Route[], deps: ApiDependencies, limits: RateLimits): void {
  const authenticated = authenticate(deps);
  const signIn = [authenticated, limitPerPrincipal(limits)];
  const frequentSignIn = [authenticated, limitFrequent(limits)];
  const analysis = [limitAnalyses(limits)];
  const refusalOfAgent = recordRefusalOfAgent(deps.ledger);
  const open: RequestHandler[] = [
    (_req, res, next) => {
      setAnonymous(res);
      next();
    },
  ];
  for (const route of routes)
    app[route.method](
      expressPath(route.path),
      noStore,
      accepted(route.reply.media ?? 'application/json'),
      ...(route.access === 'anyone' ? open : route.isFrequent === true ? frequentSignIn : signIn),
      ...(route.isAnalysis === true ? analysis : []),
      (route.form === true ? formBody : jsonBody)(route.largestBodyBytes ?? largestBodyBytes),
      route.answer,
      ...(route.isOfAgents === true ? [refusalOfAgent] : []),
    );
  // After all of them: an address may be that of one route by its words and of another by its parameters.
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path))
    app.all(expressPath(path), refuseMethod(ofPath.map(({ method }) => method.toUpperCase())));
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

function securityHeaders(publicUrl: string): RequestHandler {
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
