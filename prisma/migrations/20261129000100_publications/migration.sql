-- Flows are changed by requests too: what such a request would publish, and the history of what was published.

-- CreateTable
CREATE TABLE "publication" (
    "digest" TEXT NOT NULL,
    "proposal" JSONB NOT NULL,
    "documents" JSONB NOT NULL,
    "report" JSONB NOT NULL,
    "createdBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "publication_pkey" PRIMARY KEY ("digest")
);

-- CreateTable
CREATE TABLE "flow_publication" (
    "id" BIGSERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "digest" TEXT,
    "requestId" TEXT,
    "publishedBy" TEXT NOT NULL,
    "publishedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "flow_publication_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "flow_publication_name_id_idx" ON "flow_publication"("name", "id");

-- AlterTable
ALTER TABLE "request" ADD COLUMN     "publicationDigest" TEXT,
ALTER COLUMN "identityId" DROP NOT NULL;

-- AddForeignKey
ALTER TABLE "request" ADD CONSTRAINT "request_publicationDigest_fkey" FOREIGN KEY ("publicationDigest") REFERENCES "publication"("digest") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "flow_publication" ADD CONSTRAINT "flow_publication_digest_fkey" FOREIGN KEY ("digest") REFERENCES "flow_version"("digest") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "flow_publication" ADD CONSTRAINT "flow_publication_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma cannot express.

-- A publication is about no identity, and everything else is about one; a publication says what it would publish.
ALTER TABLE "request"
  ADD CONSTRAINT "request_subject" CHECK (
    ("kind" = 'publication') = ("identityId" IS NULL) AND ("kind" = 'publication') = ("publicationDigest" IS NOT NULL));

-- As before, and what a publication would publish, which decisions are bound to (promise 5).
CREATE OR REPLACE FUNCTION "request_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD."state" IN ('completed', 'denied', 'cancelled', 'expired', 'failed') AND NEW."state" <> OLD."state" THEN
    RAISE EXCEPTION 'request % is %: it stays so', OLD."id", OLD."state"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_final';
  END IF;
  IF NEW."flowDigest" <> OLD."flowDigest" OR NEW."identityId" IS DISTINCT FROM OLD."identityId"
     OR NEW."kind" <> OLD."kind" OR NEW."proposal" IS DISTINCT FROM OLD."proposal"
     OR NEW."publicationDigest" IS DISTINCT FROM OLD."publicationDigest" THEN
    RAISE EXCEPTION 'request %: flow, subject, kind and proposal never change', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_immutable';
  END IF;
  IF NEW."sequence" < OLD."sequence" OR NEW."revision" < OLD."revision" THEN
    RAISE EXCEPTION 'request %: sequence and revision only grow', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'request_counters';
  END IF;
  RETURN NEW;
END $$;

-- What approvers were shown is what is published; what was published stays in the history.
CREATE TRIGGER "publication_immutable" BEFORE UPDATE OR DELETE ON "publication"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "flow_publication_immutable" BEFORE UPDATE OR DELETE ON "flow_publication"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "publication_not_truncated" BEFORE TRUNCATE ON "publication"
  FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "flow_publication_not_truncated" BEFORE TRUNCATE ON "flow_publication"
  FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();

-- What is published already begins the history.
INSERT INTO "flow_publication" ("name", "operation", "digest", "publishedBy", "publishedAt")
  SELECT p."name", p."operation", p."digest", v."author", p."publishedAt"
  FROM "published_flow" p JOIN "flow_version" v ON v."digest" = p."digest" ORDER BY p."name";
