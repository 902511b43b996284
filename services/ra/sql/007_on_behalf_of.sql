-- A second principal: whom the holder acts for, and whose roles count, too. Empty when there is none.
ALTER TABLE ra.intent ADD COLUMN on_behalf_of text NOT NULL DEFAULT '';
