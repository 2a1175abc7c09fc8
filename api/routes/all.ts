import type { RouteDependencies } from '../ports.ts';
import type { Route } from '../route.ts';
import { apiKeyRoutes } from './apiKeys.ts';
import { commandRoutes } from './commands.ts';
import { decisionRoutes } from './decisions.ts';
import { evidenceRoutes } from './evidence.ts';
import { flowChangeRoutes } from './flowChanges.ts';
import { flowRoutes } from './flows.ts';
import { freezeReviewRoutes } from './freezeReviews.ts';
import { freezeRoutes } from './freezes.ts';
import { grantRoutes } from './grants.ts';
import { healthRoutes } from './health.ts';
import { identityRoutes } from './identities.ts';
import { lifecycleRoutes } from './lifecycle.ts';
import { massRevocationRoutes } from './massRevocations.ts';
import { oauthRoutes } from './oauth.ts';
import { peopleRoutes } from './people.ts';
import { proofRoutes } from './proofs.ts';
import { publicationRoutes } from './publications.ts';
import { reconciliationRoutes } from './reconciliations.ts';
import { requestRoutes } from './requests.ts';
import { reviewRoutes } from './reviews.ts';
import { secretRoutes } from './secret.ts';
import { stepUpRoutes } from './stepUps.ts';
import { wellKnownRoutes } from './wellKnown.ts';

/** Every route of the API: what is not here is neither served nor documented. */
export function apiRoutes(deps: RouteDependencies): Route[] {
  return [
    identityRoutes,
    lifecycleRoutes,
    reviewRoutes,
    secretRoutes,
    apiKeyRoutes,
    grantRoutes,
    oauthRoutes,
    stepUpRoutes,
    wellKnownRoutes,
    requestRoutes,
    decisionRoutes,
    proofRoutes,
    commandRoutes,
    flowRoutes,
    flowChangeRoutes,
    freezeRoutes,
    freezeReviewRoutes,
    massRevocationRoutes,
    publicationRoutes,
    reconciliationRoutes,
    peopleRoutes,
    evidenceRoutes,
    healthRoutes,
  ].flatMap((routesOf) => routesOf(deps));
}
