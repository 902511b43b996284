-- RAs of profiles that were deleted: their keys are to be destroyed, by whichever replica holds the lease. `name` is what the signer calls the RA.
CREATE TABLE scep.retired_ra (
    name text PRIMARY KEY,
    operator text NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    lease_holder text,
    attempts int NOT NULL DEFAULT 0
);
