/* What a signer keeps between requests. Called by main.c, and by tests that bring their own database and token. */
#include "signer.h"

#define CREW_SIZE 8

void
signer_init(struct signer *signer)
{
    signer->authorities = authority_cache_new();
    signer->templates = template_cache_new();
    signer->template_use = template_use_new();
    signer->responders = delegates_new(&responder_kind);
    signer->scep_ras = delegates_new(&scep_ra_kind);
    signer->crew = workers_new("sign", CREW_SIZE, 0, NULL);
    signer->certificates = metric_counter("signet_signer_signed_total", "what was signed", "what", "certificate");
    signer->crls = metric_counter("signet_signer_signed_total", "what was signed", "what", "crl");
    signer->ocsp_responses = metric_counter("signet_signer_signed_total", "what was signed", "what", "ocsp-response");
    signer->scep_replies = metric_counter("signet_signer_signed_total", "what was signed", "what", "scep-reply");
    signer->lint_refusals = metric_counter("signet_signer_lint_refusals_total", "certificates that were encoded and not signed", NULL, NULL);
    signer->bad_signatures = metric_counter("signet_signer_bad_signatures_total", "signatures of the HSM that did not verify", NULL, NULL);
}

void
signer_free(struct signer *signer)
{
    authority_cache_free(signer->authorities);
    template_cache_free(signer->templates);
    template_use_free(signer->template_use);
    delegates_free(signer->responders);
    delegates_free(signer->scep_ras);
    workers_free(signer->crew);
    warrant_keys_free(signer);
}
