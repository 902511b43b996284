-- Which profiles ask Intune for what it wants revoked, and when next: one replica at a time, by a lease.
CREATE TABLE scep.revocation_pull (
    profile text PRIMARY KEY REFERENCES scep.profile (name) ON DELETE CASCADE,
    every_minutes int NOT NULL CHECK (every_minutes > 0),
    due_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    lease_holder text,
    attempts int NOT NULL DEFAULT 0
);
