-- Certificates may name devices, too (RFC 4043, RFC 4108).
ALTER TABLE ca.template DROP CONSTRAINT template_name_types_check,
    ADD CONSTRAINT template_name_types_check
        CHECK (name_types <@ ARRAY['dns', 'ip', 'email', 'uri', 'permanent-identifier', 'hardware-module']);
