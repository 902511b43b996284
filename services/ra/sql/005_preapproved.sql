-- Which of the names nobody had to prove, because the channel's policy approves them beforehand; for the audit record. Separated by blanks.
ALTER TABLE ra.intent ADD COLUMN preapproved text NOT NULL DEFAULT '';
