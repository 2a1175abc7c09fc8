import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { isLedgerUnavailable } from '../ledger/queries/readiness.ts';
import { sequencesOf } from '../ledger/queries/requests.ts';
import { admission, defaultLanes } from './admission.ts';
import { recordRefusalOfAgent } from './agentRefusals.ts';
import { tellAnswered } from './answeredCalls.ts';
import { acceptedTokens } from './auth/acceptedTokens.ts';
import { authenticate } from './auth/authenticate.ts';
import { setAnonymous } from './auth/principal.ts';
import { docsPages } from './docs.ts';
import { formBody } from './formBody.ts';
import { accepted, jsonBody, largestBodyBytes } from './jsonBody.ts';
import {
  defaultRateLimits,
  limitAnalyses,
  limitFrequent,
  limitPerPrincipal,
  type RateLimits,
  type UnprovenCalls,
  unprovenCalls,
} from './limits.ts';
import { logRefused, requestLogging } from './logging.ts';
import { longPolls } from './longPoll.ts';
import { speakOAuth } from './oauthErrors.ts';
import { openApiDocument } from './openApi.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem, problemHandler } from './problem.ts';
import { proxyHint } from './proxyHint.ts';
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
  const unproven = unprovenCalls(limits);
  const routes = routesOf(deps);
  const mount = mounting(app, deps, { limits, unproven });
  const headers = securityHeaders(deps.configuration.publicUrl);
  app.set('trust proxy', deps.configuration.trustedProxies);
  // First, and past what only other routes need: resource servers wait there at every call of theirs.
  for (const route of routes) if (route.isFrequent === true) mount(route, [logRefused(deps.logger), headers]);
  app.use(requestLogging(deps.logger), headers, proxyHint(deps));
  for (const route of routes) if (route.isFrequent !== true) mount(route);

  const ofNobody = [unproven.count, unproven.refuse];
  app.use(ofNobody, docsPages(openApiDocument(routes, deps.configuration.publicUrl)));
  // After all of them: an address may be that of one route by its words and of another by its parameters.
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path))
    app.all(expressPath(path), refuseMethod(ofPath.map(({ method }) => method.toUpperCase())));

  app.use((req) => {
    throw new Problem('not-found', `There is nothing at ${req.method} here. The resources are listed at /docs.`);
  });
  app.use(problemHandler(deps.logger, isLedgerUnavailable));
  return app;
}

/** Safety commands and health work over connections of their own; everything else about them is the same. */
function routesOf(deps: ApiDependencies): Route[] {
  const ordinary = { ...deps, longPolls: longPolls((ids) => sequencesOf(deps.ledger.direct, ids)) };
  const safety = apiRoutes({ ...ordinary, ...deps.safety });
  return apiRoutes(ordinary).map((route, place) =>
    route.isSafety !== undefined || route.isHealth === true ? (safety[place] ?? route) : route,
  );
}

function mounting(
  app: Express,
  deps: ApiDependencies,
  { limits, unproven }: { readonly limits: RateLimits; readonly unproven: UnprovenCalls },
): (route: Route, before?: readonly RequestHandler[]) => void {
  const known = acceptedTokens(deps.now);
  const signIn = authenticate({ ...deps, accepted: known });
  const [perPrincipal, frequent] = [limitPerPrincipal(limits), limitFrequent(limits)];
  // Last to be refused: whatever else was sent from there, or by this principal, leaves room for it.
  const safetySignIn = [
    unproven.count,
    authenticate({ ...deps, ...deps.safety, accepted: known }),
    limitPerPrincipal(limits),
  ];
  const analysis = [limitAnalyses(limits)];
  const admitted = admission({ ...defaultLanes, ...deps.lanes });
  const refusalOfAgent = recordRefusalOfAgent(deps.ledger);
  const nobody: RequestHandler = (_req, res, next) => {
    setAnonymous(res);
    next();
  };

  function before(route: Route): readonly RequestHandler[] {
    if (route.isHealth === true) return [nobody];
    if (route.isSafety !== undefined) return safetySignIn;
    if (route.access === 'anyone') return [unproven.count, unproven.refuse, nobody];
    // A form may hold what shows who sends it.
    const refuse = route.form === true ? [] : [unproven.refuseWithoutToken];
    return [unproven.count, ...refuse, signIn, route.isFrequent === true ? frequent : perPrincipal];
  }

  return (route, first = []) => {
    const readBody = (route.form === true ? formBody : jsonBody)(route.largestBodyBytes ?? largestBodyBytes);
    app[route.method](
      expressPath(route.path),
      ...first,
      noStore,
      accepted(route.reply.media ?? 'application/json'),
      // Who calls may stand in a form, and only there: other bodies are not read before it is known who sends them.
      ...(route.form === true ? [speakOAuth, readBody, ...before(route)] : before(route)),
      ...(route.isAnalysis === true ? analysis : []),
      ...(route.form === true ? [] : [readBody]),
      ...(route.isHealth === true ? [] : admitted(route)),
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
