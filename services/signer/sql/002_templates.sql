-- The templates that exist from the start. A change of one is a new version (signetctl template import), never a change of these rows.
INSERT INTO ca.template
    (name, version, description, enabled, validity_days, key_types, min_rsa_bits, key_usage, extended_key_usage, is_ca, path_length, name_types,
     san_required, subject, requires_approval, issuer, include_ocsp, include_crl, include_aia, backdate_s, max_names)
VALUES
    ('TLS-Server-Internal', 1, 'TLS servers inside the organisation', true, 730, '{rsa,p256,p384}', 2048,
     '{digitalSignature,keyEncipherment}', '{serverAuth}', false, -1, '{dns,ip}',
     true, 'common-name', false, '', true, true, true, 3600, 100),
    ('TLS-Server-External', 1, 'TLS servers that the public reaches', true, 365, '{rsa,p256,p384}', 2048,
     '{digitalSignature,keyEncipherment}', '{serverAuth}', false, -1, '{dns,ip}',
     true, 'common-name', false, '', true, true, true, 3600, 100),
    ('TLS-Client-Auth', 1, 'Clients, services and people that prove themselves by TLS', true, 730, '{rsa,p256,p384}', 2048,
     '{digitalSignature}', '{clientAuth}', false, -1, '{dns,ip,email,uri}',
     true, 'csr', false, '', true, true, true, 3600, 20),
    ('Code-Signing', 1, 'Signing of programs and scripts; a person approves each', true, 1095, '{rsa}', 4096,
     '{digitalSignature}', '{codeSigning}', false, -1, '{}',
     false, 'csr', true, '', true, true, true, 3600, 0),
    ('Email-SMIME', 1, 'Signed and encrypted e-mail', true, 730, '{rsa,p256,p384}', 2048,
     '{digitalSignature,keyEncipherment,keyAgreement}', '{emailProtection}', false, -1, '{email}',
     true, 'csr', false, '', true, true, true, 3600, 5),
    ('Device-Certificate', 1, 'Devices that prove themselves to networks and servers', true, 1825, '{rsa,p256,p384}', 2048,
     '{digitalSignature,keyEncipherment}', '{clientAuth,serverAuth}', false, -1, '{dns,ip,uri}',
     true, 'csr', false, '', true, true, true, 3600, 20),
    ('Web Server', 1, 'TLS servers that renew by themselves (ACME)', true, 90, '{rsa,p256,p384}', 2048,
     '{digitalSignature,keyEncipherment}', '{serverAuth}', false, -1, '{dns,ip}',
     true, 'common-name', false, '', true, true, true, 3600, 100),
    ('Certificate Authority', 1, 'CAs below one of ours; made by signetctl ca create', true, 3650, '{rsa,p256,p384,p521}', 3072,
     '{keyCertSign,cRLSign}', '{}', true, 0, '{}',
     false, 'csr', true, '', true, true, true, 3600, 0);
