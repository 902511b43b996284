-- A CRL is mostly random serial numbers: what cannot be compressed is not tried.
ALTER TABLE crl.published ALTER COLUMN der SET STORAGE EXTERNAL;
