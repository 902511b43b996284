-- Whether the service that vouched for a device was told that it has its certificate: once.
ALTER TABLE scep.transaction ADD COLUMN notified boolean NOT NULL DEFAULT false;
