-- Tenure's own API keys: what the issuer `tenure-key` keeps, as another issuer keeps its own database. No key, only its keyed hash.
CREATE TABLE "api_key" (
    "handle" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "installationId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "scopes" TEXT[],
    "digest" BYTEA NOT NULL,
    "validUntil" TIMESTAMPTZ(3) NOT NULL,
    "lastUsedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("handle"),
    CONSTRAINT "api_key_digest" CHECK (octet_length("digest") = 32)
);

CREATE UNIQUE INDEX "api_key_digest_key" ON "api_key"("digest");
CREATE INDEX "api_key_identityId_version_idx" ON "api_key"("identityId", "version");
