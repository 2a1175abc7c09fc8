-- A person is an id that never changes, with accounts (issuer and subject) and addresses (docs/decisions/people.md).
ALTER TABLE "person"
  ADD COLUMN "listedGroups" TEXT[] DEFAULT ARRAY[]::TEXT[],
  ADD COLUMN "aliasOf" TEXT,
  -- What the previous release inserts and leaves out is recorded by a release that knows no accounts.
  ADD COLUMN "cameBefore" BOOLEAN NOT NULL DEFAULT true,
  ADD COLUMN "earlierGroupsUntil" TIMESTAMPTZ(3) DEFAULT now() + interval '7 days';

-- Who never signed in is in the groups of tenure.yaml and in no other.
UPDATE "person" SET "listedGroups" = "groups", "earlierGroupsUntil" = NULL WHERE "source" = 'tenure.yaml';

CREATE TABLE "person_account" (
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "personId" TEXT NOT NULL,
    "isVouched" BOOLEAN NOT NULL,
    "address" TEXT,
    "groups" TEXT[],
    "groupsAt" TIMESTAMPTZ(3),
    "groupsUntil" TIMESTAMPTZ(3),
    "tokenIssuedAt" TIMESTAMPTZ(3),
    "boundAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "person_account_pkey" PRIMARY KEY ("issuer","subject")
);

CREATE TABLE "person_address" (
    "address" TEXT NOT NULL,
    "personId" TEXT NOT NULL,
    "seenAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "person_address_pkey" PRIMARY KEY ("address","personId")
);

CREATE TABLE "account_link" (
    "id" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "personId" TEXT NOT NULL,
    "proposedBy" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "proposedAt" TIMESTAMPTZ(3) NOT NULL,
    "confirmedBy" TEXT,
    "confirmedAt" TIMESTAMPTZ(3),

    CONSTRAINT "account_link_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "person_account_personId_idx" ON "person_account"("personId");
CREATE INDEX "person_address_personId_idx" ON "person_address"("personId");
CREATE INDEX "person_aliasOf_idx" ON "person"("aliasOf");

ALTER TABLE "person" ADD CONSTRAINT "person_aliasOf_fkey" FOREIGN KEY ("aliasOf") REFERENCES "person"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "person_account" ADD CONSTRAINT "person_account_personId_fkey" FOREIGN KEY ("personId") REFERENCES "person"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "person_address" ADD CONSTRAINT "person_address_personId_fkey" FOREIGN KEY ("personId") REFERENCES "person"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "account_link" ADD CONSTRAINT "account_link_personId_fkey" FOREIGN KEY ("personId") REFERENCES "person"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- One proposal for each account and person at a time: whoever repeats it finds it.
CREATE UNIQUE INDEX "account_link_open" ON "account_link" ("issuer", "subject", "personId") WHERE "confirmedAt" IS NULL;

-- Four eyes, whatever code does.
ALTER TABLE "account_link" ADD CONSTRAINT "account_link_four_eyes" CHECK ("confirmedBy" IS NULL OR "confirmedBy" <> "proposedBy");
ALTER TABLE "account_link" ADD CONSTRAINT "account_link_confirmed" CHECK (("confirmedBy" IS NULL) = ("confirmedAt" IS NULL));

-- Who was merged stays merged, into somebody who was not: one step resolves every alias.
CREATE FUNCTION "person_merging"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW."aliasOf" IS NOT NULL AND (NEW."aliasOf" = NEW."id"
     OR EXISTS (SELECT FROM "person" WHERE "id" = NEW."aliasOf" AND "aliasOf" IS NOT NULL)
     OR EXISTS (SELECT FROM "person" WHERE "aliasOf" = NEW."id")) THEN
    RAISE EXCEPTION 'person %: an alias is of somebody who is none, and nobody is an alias of it', NEW."id" USING ERRCODE = '23514';
  END IF;
  IF TG_OP = 'UPDATE' AND OLD."aliasOf" IS NOT NULL AND NEW."aliasOf" IS NULL THEN
    RAISE EXCEPTION 'person % was merged, which is not undone', NEW."id" USING ERRCODE = '23514';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "person_merging" BEFORE INSERT OR UPDATE OF "aliasOf" ON "person"
  FOR EACH ROW EXECUTE FUNCTION "person_merging"();

-- Every address that was an id so far.
INSERT INTO "person_address" ("address", "personId", "seenAt")
  SELECT "id", "id", "updatedAt" FROM "person" WHERE "id" LIKE '%@%';
