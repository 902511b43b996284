/*
 * From the accepted revocation to the first OCSP answer that says so.
 *
 *     revoke ISSUER TEMPLATE COUNT OCSP_PORT ISSUER_PEM        (the bus by SIGNET_NATS_…, as signetctl)
 *
 * For each of COUNT certificates: issue it over the bus, ask until OCSP says good from its cache, revoke it, and measure from the reply of
 * signet.ra.revoke to the first OCSP answer with "revoked", asked again and again over one kept connection. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "link/rpc.h"
#include "signet/v1/ra.pb-c.h"

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "revoke: %s: %s\n", what, why);
    exit(1);
}

static struct bytes
make_csr(struct request *rq, int number)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_REQ *csr = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    char *names = arena_format(rq->arena, "DNS:revoke-%d.bench.example", number);
    uint8_t *der = NULL;
    struct bytes copy;
    int len;

    sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names));
    X509_REQ_set_version(csr, 0);
    X509_REQ_set_pubkey(csr, key);
    X509_REQ_add_extensions(csr, extensions);
    X509_REQ_sign(csr, key, EVP_sha256());
    len = i2d_X509_REQ(csr, &der);
    copy = bytes_copy(rq->arena, BYTES(der, len));
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(csr);
    EVP_PKEY_free(key);
    return copy;
}

static int
dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect", "the OCSP responder does not listen");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* One POST over the kept connection; the CertStatus of its only answer, or -1. */
static int
ask(int fd, const uint8_t *request, int request_len)
{
    char answer[16384], head[256];
    int head_len =
        snprintf(head, sizeof(head), "POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n",
                 request_len);
    size_t got = 0;
    const char *body, *length;
    const uint8_t *at;
    int status = -1;

    if (write(fd, head, (size_t)head_len) != head_len || write(fd, request, (size_t)request_len) != request_len)
        die("OCSP", "the connection ended");
    for (;;) {
        ssize_t n = read(fd, answer + got, sizeof(answer) - 1 - got);
        if (n <= 0)
            die("OCSP", "the connection ended");
        got += (size_t)n;
        answer[got] = '\0';
        body = memmem(answer, got, "\r\n\r\n", 4);
        length = strcasestr(answer, "content-length:");
        if (body != NULL && length != NULL && got >= (size_t)(body + 4 - answer) + strtoul(length + 15, NULL, 10))
            break;
    }
    at = (const uint8_t *)body + 4;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)(got - (size_t)(body + 4 - answer)));
    OCSP_BASICRESP *basic = response != NULL ? OCSP_response_get1_basic(response) : NULL;
    if (basic != NULL && OCSP_resp_count(basic) == 1)
        status = OCSP_single_get0_status(OCSP_resp_get0(basic, 0), NULL, NULL, NULL, NULL);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return status;
}

static int
compare(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

    return (difference > 0) - (difference < 0);
}

static int64_t
one(struct bus *bus, const char *issuer, const char *template, int number, int fd, X509 *issuer_cert)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__EnrollRequest enroll = PB__ENROLL_REQUEST__INIT;
    Pb__RevokeRequest revoke = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;
    const Pb__EnrollReply *issued;
    const Pb__RevokeReply *revoked;
    struct bytes csr = make_csr(rq, number);
    uint8_t *request = NULL;
    int64_t begin;

    principal.kind = "operator";
    principal.id = "bench";
    enroll.channel = "operator/bench";
    enroll.idempotency_key = arena_format(rq->arena, "revoke-%lld-%d", (long long)clock_now_us(), number);
    enroll.csr = (ProtobufCBinaryData){.data = (uint8_t *)csr.at, .len = csr.len};
    enroll.template_ = template;
    enroll.issuer = issuer;
    enroll.principal = &principal;
    if (RPC_CALL(bus, rq, ra, Enroll, &enroll, &issued) != OK)
        die("enroll", rq->failure.message);

    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    BIGNUM *number_of = BN_bin2bn(issued->serial.data, (int)issued->serial.len, NULL);
    BN_to_ASN1_INTEGER(number_of, serial);
    OCSP_REQUEST *ocsp = OCSP_REQUEST_new();
    OCSP_request_add0_id(ocsp, OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer_cert), X509_get0_pubkey_bitstr(issuer_cert), serial));
    int request_len = i2d_OCSP_REQUEST(ocsp, &request);
    while (ask(fd, request, request_len) != V_OCSP_CERTSTATUS_GOOD)
        clock_sleep_ms(1);
    (void)ask(fd, request, request_len);

    revoke.channel = "operator/bench";
    revoke.serial = issued->serial;
    revoke.issuer = issuer;
    revoke.reason = PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED;
    revoke.principal = &principal;
    revoke.authority = "operator";
    if (RPC_CALL(bus, rq, ra, Revoke, &revoke, &revoked) != OK)
        die("revoke", rq->failure.message);
    begin = clock_monotonic_us();
    while (ask(fd, request, request_len) != V_OCSP_CERTSTATUS_REVOKED)
        ;
    begin = clock_monotonic_us() - begin;
    OPENSSL_free(request);
    OCSP_REQUEST_free(ocsp);
    ASN1_INTEGER_free(serial);
    BN_free(number_of);
    return begin;
}

static int
number(const char *text)
{
    int64_t value;

    if (!text_parse_number(text, 1, 1000000, &value))
        die(text, "is not a number");
    return (int)value;
}

static double
in_ms(int64_t us)
{
    return (double)us / 1000.0;
}

int
main(int argc, char **argv)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bus *bus;

    if (argc != 6)
        die("usage", "revoke ISSUER TEMPLATE COUNT OCSP_PORT ISSUER_PEM");
    log_open("bench", "bench", LOG_LEVEL_ERROR);
    const struct bus_options options = {.name = "signetctl",
                                        .url = getenv("SIGNET_NATS_URL"),
                                        .ca_file = getenv("SIGNET_NATS_CA_FILE"),
                                        .cert_file = getenv("SIGNET_NATS_CERT_FILE"),
                                        .key_file = getenv("SIGNET_NATS_KEY_FILE")};
    FILE *pem = fopen(argv[5], "re");
    X509 *issuer = pem != NULL ? PEM_read_X509(pem, NULL, NULL, NULL) : NULL;
    int count = number(argv[3]), fd = dial(number(argv[4])), i;
    int64_t *times = calloc((size_t)count + 1, sizeof(*times));

    if (issuer == NULL || times == NULL || count < 1)
        die("issuer", "cannot be read");
    (void)fclose(pem);
    if (bus_open(rq, &options, &bus) != OK)
        die("bus", rq->failure.message);
    for (i = 0; i < count; i++)
        times[i] = one(bus, argv[1], argv[2], i, fd, issuer);
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("{\"count\": %d, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n", count, in_ms(times[count / 2]),
           in_ms(times[count - 1 - count / 100]), in_ms(times[count - 1]));
    free(times);
    X509_free(issuer);
    (void)close(fd);
    bus_close(bus, 1000);
    return 0;
}
