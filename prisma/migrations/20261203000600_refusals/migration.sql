-- Refusals are told by evidence once a minute for each who, what and why; the rest is counted here until it is told.
CREATE TABLE "refusal" (
    "digest" BYTEA NOT NULL,
    "minute" INTEGER NOT NULL,
    "suppressed" INTEGER NOT NULL,
    "carried" INTEGER NOT NULL,
    "chain" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "actor" TEXT NOT NULL,
    "requestId" TEXT,
    "identityId" TEXT,
    "reason" TEXT NOT NULL,

    CONSTRAINT "refusal_pkey" PRIMARY KEY ("digest")
);

CREATE INDEX "refusal_minute_idx" ON "refusal"("minute");
