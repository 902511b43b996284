-- A body is a bundle of certificates, which do not get smaller, and lives for milliseconds: it is not worth compressing.
ALTER TABLE ra.outbox ALTER COLUMN body SET STORAGE EXTERNAL;
