-- The version of the bytes that were signed; a release that knows of one only signs the first.
ALTER TABLE "decision" ADD COLUMN "version" INTEGER NOT NULL DEFAULT 1;
-- The risk that was shown, a part of what the digest is of: it moves by itself, and the decision is compared without it.
ALTER TABLE "decision" ADD COLUMN "risk" JSONB;
