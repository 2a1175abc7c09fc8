-- Freezes with all their selectors, modes and exits; reviews; when a person left.

-- AlterTable
ALTER TABLE "person" ADD COLUMN     "leftAt" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "request" ADD COLUMN     "proposal" JSONB;

-- AlterTable
ALTER TABLE "freeze" ADD COLUMN     "cause" TEXT,
ADD COLUMN     "connectorIds" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "environments" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "escalateAfter" TEXT,
ADD COLUMN     "escalatedAt" TIMESTAMPTZ(3),
ADD COLUMN     "escalations" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "flowDigests" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "issuers" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "labels" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "liftOverride" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "mode" TEXT NOT NULL DEFAULT 'hold',
ADD COLUMN     "ownerIds" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "stores" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- CreateTable
CREATE TABLE "freeze_subject" (
    "freezeId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "keptAt" TIMESTAMPTZ(3),
    "thawedAt" TIMESTAMPTZ(3),
    "reviewRequestId" TEXT,

    CONSTRAINT "freeze_subject_pkey" PRIMARY KEY ("freezeId","identityId")
);

-- CreateTable
CREATE TABLE "freeze_stop" (
    "freezeId" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "what" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "freeze_stop_pkey" PRIMARY KEY ("freezeId","requestId","what")
);

-- CreateIndex
CREATE INDEX "identity_ownerId_idx" ON "identity"("ownerId");

-- CreateIndex
CREATE UNIQUE INDEX "freeze_cause_key" ON "freeze"("cause");

-- AddForeignKey
ALTER TABLE "freeze_subject" ADD CONSTRAINT "freeze_subject_freezeId_fkey" FOREIGN KEY ("freezeId") REFERENCES "freeze"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "freeze_subject" ADD CONSTRAINT "freeze_subject_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "freeze_stop" ADD CONSTRAINT "freeze_stop_freezeId_fkey" FOREIGN KEY ("freezeId") REFERENCES "freeze"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "freeze_stop" ADD CONSTRAINT "freeze_stop_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma cannot express. Each constraint names the promise or protocol it keeps.

ALTER TABLE "freeze"
  ALTER COLUMN "connectorIds" SET NOT NULL,
  ALTER COLUMN "environments" SET NOT NULL,
  ALTER COLUMN "flowDigests" SET NOT NULL,
  ALTER COLUMN "issuers" SET NOT NULL,
  ALTER COLUMN "labels" SET NOT NULL,
  ALTER COLUMN "ownerIds" SET NOT NULL,
  ALTER COLUMN "stores" SET NOT NULL;

-- A freeze selects by something, whatever the kind of selector.
ALTER TABLE "freeze" DROP CONSTRAINT "freeze_selects";
ALTER TABLE "freeze"
  ADD CONSTRAINT "freeze_selects" CHECK (
    cardinality("identityIds") + cardinality("integrations") + cardinality("ownerIds") + cardinality("issuers")
    + cardinality("stores") + cardinality("environments") + cardinality("connectorIds") + cardinality("flowDigests")
    + cardinality("labels") > 0),
  ADD CONSTRAINT "freeze_mode" CHECK ("mode" IN ('hold', 'cancel'));
ALTER TABLE "freeze_stop"
  ADD CONSTRAINT "freeze_stop_what" CHECK ("what" IN ('begin', 'commit', 'cancel'));

-- One review per identity: two at once could carry two new owners.
CREATE UNIQUE INDEX "request_one_review" ON "request" ("identityId")
  WHERE "kind" = 'review' AND "state" NOT IN ('completed', 'denied', 'cancelled', 'expired', 'failed');

-- A thaw is by one review, and stays: a freeze is never put back on a subject that a review let go.
CREATE FUNCTION "freeze_subject_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."thawedAt" IS NOT NULL AND (NEW."thawedAt" IS DISTINCT FROM OLD."thawedAt"
     OR NEW."reviewRequestId" IS DISTINCT FROM OLD."reviewRequestId") THEN
    RAISE EXCEPTION 'identity % was thawed from freeze % already: that stays', OLD."identityId", OLD."freezeId"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'freeze_subject_thawed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "freeze_subject_transition" BEFORE UPDATE ON "freeze_subject"
  FOR EACH ROW EXECUTE FUNCTION "freeze_subject_transition"();
-- A thaw names its review.
ALTER TABLE "freeze_subject"
  ADD CONSTRAINT "freeze_subject_thaw" CHECK (("thawedAt" IS NULL) = ("reviewRequestId" IS NULL));
CREATE TRIGGER "freeze_kept" BEFORE DELETE ON "freeze" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "freeze_subject_kept" BEFORE DELETE ON "freeze_subject"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();

-- What a freeze selects never changes, and a lifted one stays lifted: an incident that goes on is a freeze of its own.
CREATE FUNCTION "freeze_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."liftedAt" IS NOT NULL AND NEW."liftedAt" IS DISTINCT FROM OLD."liftedAt" THEN
    RAISE EXCEPTION 'freeze % is lifted: it stays so', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'freeze_lifted';
  END IF;
  IF (to_jsonb(NEW) - '{liftedAt,liftedBy,liftReason,liftOverride,escalations,escalatedAt}'::text[])
     <> (to_jsonb(OLD) - '{liftedAt,liftedBy,liftReason,liftOverride,escalations,escalatedAt}'::text[]) THEN
    RAISE EXCEPTION 'freeze %: what it selects and how never changes', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'freeze_immutable';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "freeze_transition" BEFORE UPDATE ON "freeze"
  FOR EACH ROW EXECUTE FUNCTION "freeze_transition"();

-- As before, and a review's proposal, which decisions are bound to (promise 5).
CREATE OR REPLACE FUNCTION "request_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" IN ('completed', 'denied', 'cancelled', 'expired', 'failed') AND NEW."state" <> OLD."state" THEN
    RAISE EXCEPTION 'request % is %: it stays so', OLD."id", OLD."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_final';
  END IF;
  IF NEW."flowDigest" <> OLD."flowDigest" OR NEW."identityId" <> OLD."identityId" OR NEW."kind" <> OLD."kind"
     OR NEW."proposal" IS DISTINCT FROM OLD."proposal" THEN
    RAISE EXCEPTION 'request %: flow, subject, kind and proposal never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_immutable';
  END IF;
  IF NEW."sequence" < OLD."sequence" OR NEW."revision" < OLD."revision" THEN
    RAISE EXCEPTION 'request %: sequence and revision only grow', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_counters';
  END IF;
  RETURN NEW;
END $$;

-- When a person stopped being active, whoever wrote it: what an owner left behind is frozen once for each leaving.
CREATE FUNCTION "person_leaving"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW."active" THEN
    NEW."leftAt" := NULL;
  ELSIF TG_OP = 'UPDATE' AND NOT OLD."active" THEN
    NEW."leftAt" := OLD."leftAt";
  ELSE
    NEW."leftAt" := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "person_leaving" BEFORE INSERT OR UPDATE ON "person"
  FOR EACH ROW EXECUTE FUNCTION "person_leaving"();
-- Before the trigger existed, the last change is the nearest that is known. An UPDATE would go through the trigger.
ALTER TABLE "person" DISABLE TRIGGER "person_leaving";
UPDATE "person" SET "leftAt" = "updatedAt" WHERE NOT "active";
ALTER TABLE "person" ENABLE TRIGGER "person_leaving";
CREATE INDEX "person_left" ON "person" ("leftAt") WHERE NOT "active";

-- Identities from before reviews get their first one, as if onboarded now (P90D, asked for two weeks ahead).
INSERT INTO "due_work" ("kind", "subjectId", "dueAt")
  SELECT 'review', "id", clock_timestamp() + interval '76 days' FROM "identity" WHERE "state" = 'active'
  UNION ALL
  SELECT 'review-missed', "id", clock_timestamp() + interval '90 days' FROM "identity" WHERE "state" = 'active';
