-- A CRL that is larger than a message of the bus comes in parts; they are put together when the last one is there.
CREATE TABLE est.client_crl_part (
    upload   text NOT NULL,
    part     int NOT NULL,
    octets   bytea NOT NULL,
    came_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (upload, part)
);
