-- CreateTable
CREATE TABLE "mass_revocation" (
    "id" TEXT NOT NULL,
    "freezeId" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "startedBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "pausedAt" TIMESTAMPTZ(3),
    "pausedBy" TEXT,
    "pauseReason" TEXT,
    "gatheredAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "closedAt" TIMESTAMPTZ(3),
    "report" JSONB,

    CONSTRAINT "mass_revocation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mass_revocation_subject" (
    "massRevocationId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "exposure" INTEGER NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'waiting',
    "requestId" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "nextAttemptAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lastError" TEXT,
    "begunAt" TIMESTAMPTZ(3),
    "finishedAt" TIMESTAMPTZ(3),

    CONSTRAINT "mass_revocation_subject_pkey" PRIMARY KEY ("massRevocationId","identityId")
);

-- CreateIndex
CREATE INDEX "mass_revocation_freezeId_createdAt_id_idx" ON "mass_revocation"("freezeId", "createdAt", "id");

-- CreateIndex
CREATE INDEX "mass_revocation_subject_issuer_begunAt_idx" ON "mass_revocation_subject"("issuer", "begunAt");

-- AddForeignKey
ALTER TABLE "mass_revocation" ADD CONSTRAINT "mass_revocation_freezeId_fkey" FOREIGN KEY ("freezeId") REFERENCES "freeze"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "mass_revocation_subject" ADD CONSTRAINT "mass_revocation_subject_massRevocationId_fkey" FOREIGN KEY ("massRevocationId") REFERENCES "mass_revocation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "mass_revocation_subject" ADD CONSTRAINT "mass_revocation_subject_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "mass_revocation_subject" ADD CONSTRAINT "mass_revocation_subject_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- What Prisma cannot express.

-- One open mass revocation per freeze: a second responder is told of the first one's.
CREATE UNIQUE INDEX "mass_revocation_one_open" ON "mass_revocation" ("freezeId") WHERE "closedAt" IS NULL;

-- What is begun next: the most exposed first, in an order that does not change.
CREATE INDEX "mass_revocation_subject_next" ON "mass_revocation_subject"
  ("issuer", "exposure", "identityId", "massRevocationId") WHERE "state" = 'waiting';

-- What is under way, read several times a second.
CREATE INDEX "mass_revocation_subject_begun" ON "mass_revocation_subject"
  ("issuer", "massRevocationId", "identityId") WHERE "state" = 'begun';

ALTER TABLE "mass_revocation"
  -- It closes with its report, and a pause has its reason.
  ADD CONSTRAINT "mass_revocation_closed" CHECK (("closedAt" IS NULL) = ("report" IS NULL)),
  ADD CONSTRAINT "mass_revocation_paused" CHECK (
    ("pausedAt" IS NULL) = ("pausedBy" IS NULL) AND ("pausedAt" IS NULL) = ("pauseReason" IS NULL));
ALTER TABLE "mass_revocation_subject"
  ADD CONSTRAINT "mass_revocation_subject_state" CHECK (
    "state" IN ('waiting', 'begun', 'finished', 'let-go') AND "exposure" BETWEEN 0 AND 2
    AND ("state" IN ('finished', 'let-go')) = ("finishedAt" IS NOT NULL)
    AND ("state" <> 'waiting' OR ("begunAt" IS NULL AND "requestId" IS NULL)));

-- A closed one stays as it was reported; who started it, where and why never changes.
CREATE FUNCTION "mass_revocation_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."closedAt" IS NOT NULL THEN
    RAISE EXCEPTION 'mass revocation % is closed: it stays so', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'mass_revocation_final';
  END IF;
  IF (to_jsonb(NEW) - '{pausedAt,pausedBy,pauseReason,gatheredAt,closedAt,report}'::text[])
     <> (to_jsonb(OLD) - '{pausedAt,pausedBy,pauseReason,gatheredAt,closedAt,report}'::text[]) THEN
    RAISE EXCEPTION 'mass revocation %: its freeze, reason and responder never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'mass_revocation_immutable';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "mass_revocation_transition" BEFORE UPDATE ON "mass_revocation"
  FOR EACH ROW EXECUTE FUNCTION "mass_revocation_transition"();

-- Nobody who was revoked is forgotten.
CREATE TRIGGER "mass_revocation_kept" BEFORE DELETE ON "mass_revocation" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "mass_revocation_subject_kept" BEFORE DELETE ON "mass_revocation_subject"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
