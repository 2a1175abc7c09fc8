-- What operators watch is read by these, whatever the number of final requests and old credentials (ledger/queries/
-- operatingFigures.ts): none of the tables is read whole at a scrape.
CREATE INDEX "request_open" ON "request" ("state", "createdAt") WHERE "finishedAt" IS NULL;
CREATE INDEX "request_owing" ON "request" ("finishedAt") WHERE "owesDestroys";
CREATE INDEX "request_finished" ON "request" ("finishedAt", "id") WHERE "finishedAt" IS NOT NULL;
CREATE INDEX "credential_promoted" ON "credential" ("promotedAt", "handle") WHERE "promotedAt" IS NOT NULL;
