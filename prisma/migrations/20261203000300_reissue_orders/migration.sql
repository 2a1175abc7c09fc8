CREATE TABLE "reissue_order" (
    "reviewRequestId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "highestVersion" INTEGER NOT NULL,
    "orderedAt" TIMESTAMPTZ(3) NOT NULL,
    "requestId" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "dueAt" TIMESTAMPTZ(3) NOT NULL,
    "deliveredAt" TIMESTAMPTZ(3),
    "deliveredVersion" INTEGER,
    "waivedAt" TIMESTAMPTZ(3),
    "waivedBy" TEXT,
    "waivedBecause" TEXT,

    CONSTRAINT "reissue_order_pkey" PRIMARY KEY ("reviewRequestId")
);

CREATE INDEX "reissue_order_identityId_idx" ON "reissue_order"("identityId");

ALTER TABLE "reissue_order" ADD CONSTRAINT "reissue_order_reviewRequestId_fkey" FOREIGN KEY ("reviewRequestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "reissue_order" ADD CONSTRAINT "reissue_order_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "reissue_order" ADD CONSTRAINT "reissue_order_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What is owed, by when it is asked for again.
CREATE INDEX "reissue_owed" ON "reissue_order" ("dueAt") WHERE "deliveredAt" IS NULL AND "waivedAt" IS NULL;

-- Delivered by a version above all that existed when it was ordered, or waived by somebody who says why.
ALTER TABLE "reissue_order" ADD CONSTRAINT "reissue_order_delivered" CHECK (
  ("deliveredAt" IS NULL) = ("deliveredVersion" IS NULL) AND ("deliveredVersion" IS NULL OR "deliveredVersion" > "highestVersion"));
ALTER TABLE "reissue_order" ADD CONSTRAINT "reissue_order_waived" CHECK (
  ("waivedAt" IS NULL) = ("waivedBy" IS NULL) AND ("waivedAt" IS NULL) = ("waivedBecause" IS NULL));

-- What an incident ordered is not forgotten, made smaller, or owed again once it was settled.
CREATE FUNCTION "reissue_order_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'the order of review % to re-issue is never deleted', OLD."reviewRequestId";
  END IF;
  IF (NEW."reviewRequestId", NEW."identityId", NEW."highestVersion", NEW."orderedAt")
      IS DISTINCT FROM (OLD."reviewRequestId", OLD."identityId", OLD."highestVersion", OLD."orderedAt")
    OR (OLD."deliveredAt" IS NOT NULL AND NEW."deliveredAt" IS DISTINCT FROM OLD."deliveredAt")
    OR (OLD."waivedAt" IS NOT NULL AND NEW."waivedAt" IS DISTINCT FROM OLD."waivedAt") THEN
    RAISE EXCEPTION 'what review % ordered never changes, and is settled once', OLD."reviewRequestId";
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "reissue_order_transition" BEFORE UPDATE OR DELETE ON "reissue_order"
  FOR EACH ROW EXECUTE FUNCTION "reissue_order_transition"();

CREATE TRIGGER "reissue_order_not_truncated" BEFORE TRUNCATE ON "reissue_order" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();

-- Reviews that ordered a re-issue before there was this table: delivered where a newer version was promoted since, owed otherwise.
INSERT INTO "reissue_order" ("reviewRequestId", "identityId", "highestVersion", "orderedAt", "requestId", "dueAt", "deliveredAt", "deliveredVersion")
SELECT o."reviewRequestId", o."identityId", o."highestVersion", o."orderedAt", o."requestId", now(), d."promotedAt", d."version"
FROM (
  SELECT r."id" AS "reviewRequestId", r."identityId", r."finishedAt" AS "orderedAt",
    coalesce((SELECT max(c."version") FROM "credential" c
      WHERE c."identityId" = r."identityId" AND c."createdAt" <= r."finishedAt"), 0) AS "highestVersion",
    (SELECT k."requestId" FROM "idempotent_call" k
      WHERE k."principal" = 'system:review' AND k."key" = 'reissue/' || r."id") AS "requestId"
  FROM "request" r WHERE r."kind" = 'review' AND r."state" = 'completed' AND (r."proposal" ->> 'reissue')::boolean) o
LEFT JOIN LATERAL (
  SELECT c."version", c."promotedAt" FROM "credential" c
  WHERE c."identityId" = o."identityId" AND c."version" > o."highestVersion" AND c."promotedAt" IS NOT NULL
  ORDER BY c."version" LIMIT 1) d ON true;
