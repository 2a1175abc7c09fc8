-- CreateTable
CREATE TABLE "reconciliation" (
    "id" TEXT NOT NULL,
    "part" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    "requestedBy" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "cursor" TEXT NOT NULL DEFAULT '',
    "observeOnly" BOOLEAN NOT NULL DEFAULT false,
    "compared" INTEGER NOT NULL DEFAULT 0,
    "foreign" INTEGER NOT NULL DEFAULT 0,
    "found" INTEGER NOT NULL DEFAULT 0,
    "repaired" INTEGER NOT NULL DEFAULT 0,
    "lastError" TEXT,
    "restoreId" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finishedAt" TIMESTAMPTZ(3),

    CONSTRAINT "reconciliation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "reconciliation_finding" (
    "id" TEXT NOT NULL,
    "part" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "detail" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',
    "runId" TEXT NOT NULL,
    "lastSeenAt" TIMESTAMPTZ(3) NOT NULL,
    "resolution" TEXT,
    "resolvedBy" TEXT,
    "resolvedAt" TIMESTAMPTZ(3),
    "receipt" JSONB,
    "lastError" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reconciliation_finding_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ledger_restore" (
    "id" TEXT NOT NULL,
    "signedSize" BIGINT NOT NULL,
    "signedRoot" TEXT NOT NULL,
    "detectedAt" TIMESTAMPTZ(3) NOT NULL,
    "confirmedAt" TIMESTAMPTZ(3),
    "confirmedBy" TEXT,
    "reason" TEXT,
    "resumedAt" TIMESTAMPTZ(3),

    CONSTRAINT "ledger_restore_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "reconciliation_createdAt_id_idx" ON "reconciliation"("createdAt", "id");

-- CreateIndex
CREATE INDEX "reconciliation_finding_createdAt_id_idx" ON "reconciliation_finding"("createdAt", "id");

-- CreateIndex
CREATE INDEX "reconciliation_finding_part_name_identityId_idx" ON "reconciliation_finding"("part", "name", "identityId");

-- CreateIndex
CREATE UNIQUE INDEX "ledger_restore_signedSize_signedRoot_key" ON "ledger_restore"("signedSize", "signedRoot");

-- What Prisma cannot express.

-- One unfinished run per part: whoever asks for another one gets it.
CREATE UNIQUE INDEX "reconciliation_one_running" ON "reconciliation" ("part", "name") WHERE "finishedAt" IS NULL;

-- One open or accepted finding per difference: a repeated sighting updates it, a recurrence after a repair is a new one.
CREATE UNIQUE INDEX "reconciliation_finding_once" ON "reconciliation_finding"
  ("part", "name", "kind", "identityId", "version") WHERE "state" <> 'repaired';

-- Read by every transaction that may act, so that a restored ledger does nothing by itself.
CREATE INDEX "ledger_restore_in_force" ON "ledger_restore" ("detectedAt") WHERE "resumedAt" IS NULL;

ALTER TABLE "reconciliation"
  ADD CONSTRAINT "reconciliation_part" CHECK ("part" IN ('issuer', 'store')),
  ADD CONSTRAINT "reconciliation_state" CHECK ("state" IN ('waiting', 'running', 'done', 'abandoned')
    AND ("finishedAt" IS NULL) = ("state" IN ('waiting', 'running')));
ALTER TABLE "reconciliation_finding"
  ADD CONSTRAINT "reconciliation_finding_part" CHECK ("part" IN ('issuer', 'store')),
  -- What is closed says how and by whom.
  ADD CONSTRAINT "reconciliation_finding_state" CHECK ("state" IN ('open', 'repaired', 'accepted')
    AND ("state" = 'open') = ("resolvedAt" IS NULL) AND ("state" = 'open' OR ("resolution" IS NOT NULL AND "resolvedBy" IS NOT NULL)));
ALTER TABLE "ledger_restore"
  -- Nobody resumes without an administrator's reason.
  ADD CONSTRAINT "ledger_restore_confirmed" CHECK (("confirmedAt" IS NULL AND "resumedAt" IS NULL)
    OR ("confirmedAt" IS NOT NULL AND "confirmedBy" IS NOT NULL AND "reason" IS NOT NULL));
CREATE TRIGGER "ledger_restore_kept" BEFORE DELETE ON "ledger_restore" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "reconciliation_finding_kept" BEFORE DELETE ON "reconciliation_finding"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
