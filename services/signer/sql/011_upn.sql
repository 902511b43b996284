-- Certificates may name users and computers as Windows does, too: user principal names.
ALTER TABLE ca.template DROP CONSTRAINT template_name_types_check,
    ADD CONSTRAINT template_name_types_check
        CHECK (name_types <@ ARRAY['dns', 'ip', 'email', 'uri', 'permanent-identifier', 'hardware-module', 'upn']);
