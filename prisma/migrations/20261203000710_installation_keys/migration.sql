-- The ids of the keys of this installation: a process that holds others must not write. Never a key.
CREATE TABLE "installation_key" (
    "name" TEXT NOT NULL,
    "keyId" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "installation_key_pkey" PRIMARY KEY ("name", "keyId"),
    CONSTRAINT "installation_key_state" CHECK ("state" IN ('coming', 'active', 'retired'))
);
