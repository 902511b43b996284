-- Compared octet by octet, as host names may be, the primary key itself finds names by their beginning: one index less to keep.
ALTER TABLE inventory.certificate_name ALTER COLUMN value TYPE text COLLATE "C";
DROP INDEX inventory.certificate_name_from_start;
