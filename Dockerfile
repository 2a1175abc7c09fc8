# API and worker in one image: `CMD` starts the API, `worker/main.ts` as the command the worker. Debian, since the native part
# of the Temporal SDK is built against glibc.
FROM node:24.21.0-slim AS build
WORKDIR /tenure
COPY package.json package-lock.json .npmrc ./
COPY scripts/generateClient.js scripts/
COPY prisma/schema.prisma prisma/
RUN npm ci --omit=dev
COPY prisma/migrations prisma/migrations
COPY activities activities
COPY api api
COPY cli cli
COPY configuration configuration
COPY contracts contracts
COPY domain domain
COPY flows flows
COPY integrations integrations
COPY ledger ledger
COPY observability observability
COPY worker worker
COPY workflows workflows
# Workflows are bundled here: the compiler for it is left behind with the optional packages, and nothing is written at run time.
RUN node --eval "import('./worker/bundle.ts').then(({ workflowBundle }) => workflowBundle())"
RUN npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24.21.0-slim
ENV NODE_ENV=production
ENV TENURE_CONFIG=/etc/tenure/tenure.yaml
# The worker answers on its metrics port.
ENV TENURE_HEALTH=http://127.0.0.1:8080/healthz
RUN install --directory --owner=node --group=node --mode=700 /var/lib/tenure
COPY --from=build /tenure /tenure
WORKDIR /tenure
USER node
EXPOSE 8080 9464 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "--eval", "fetch(process.env.TENURE_HEALTH).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node"]
CMD ["api/main.ts"]
