# What a fuzz target needs beside base and pki.
FUZZ_NEEDS_message := common/link/message.c
FUZZ_NEEDS_http_request := common/link/http_route.c common/link/http_head.c
FUZZ_NEEDS_http_basic := common/link/http_basic.c
FUZZ_NEEDS_http_conditional := services/crl-publisher/conditional.c
FUZZ_NEEDS_jws := services/acme-gw/jws.c services/acme-gw/jws_split.c services/acme-gw/jwk.c services/acme-gw/json.c services/acme-gw/problem.c common/link/http_answer.c
FUZZ_NEEDS_eab := services/acme-gw/eab_jws.c services/acme-gw/jws.c services/acme-gw/jws_split.c services/acme-gw/jwk.c services/acme-gw/json.c services/acme-gw/problem.c common/link/http_answer.c
FUZZ_NEEDS_jwk := $(FUZZ_NEEDS_jws)
FUZZ_NEEDS_order_names := $(FUZZ_NEEDS_jws) services/acme-gw/names.c
FUZZ_NEEDS_certificate_id := $(FUZZ_NEEDS_jws) services/acme-gw/certificate_id.c
FUZZ_NEEDS_forwarded_for := common/link/client_address.c
FUZZ_NEEDS_http_01 := services/validator/http_01_body.c services/validator/dns_records.c services/validator/redirect.c \
                      services/validator/address_rules.c services/validator/own_endpoints.c
FUZZ_NEEDS_dns_answer := $(addprefix services/validator/,dns_records.c issue_value.c dns_persist_01.c caa.c resolver.c event_loop.c dns_answer.c)
FUZZ_NEEDS_tls_alpn_01 := $(addprefix services/validator/,tls_alpn_01_certificate.c address_rules.c own_endpoints.c)
FUZZ_NEEDS_attestation := $(addprefix services/validator/,cbor_reader.c attestation_object.c)
FUZZ_NEEDS_tpm := services/validator/tpm.c
FUZZ_NEEDS_template_yaml := services/signetctl/message_yaml.c services/signetctl/message_json.c
FUZZ_NEEDS_ocsp_get := services/ocsp-responder/answer.c common/link/http_route.c
FUZZ_NEEDS_intent := services/signer/intent.c services/signer/encode.c services/signer/lint.c common/link/message.c
FUZZ_NEEDS_scep_envelope := $(addprefix services/scep-gw/,ber.c cms.c envelope.c password_recipient.c fail_info.c pki_message.c)
FUZZ_NEEDS_scep_message := $(addprefix services/scep-gw/,ber.c cms.c fail_info.c pki_message.c)
FUZZ_NEEDS_scep_get := services/scep-gw/get.c common/link/http_route.c
FUZZ_NEEDS_est_body := $(addprefix services/est-gw/,body.c attributes.c problem.c) common/link/http_answer.c
FUZZ_NEEDS_est_csr := $(addprefix services/est-gw/,attributes.c pki_data.c cmc_response.c server_signature.c body.c problem.c) common/link/http_answer.c
