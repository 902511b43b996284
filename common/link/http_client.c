/*
 * One fetch by libcurl, on the caller's thread: a fresh handle, a fresh connection to exactly the address that the caller chose, one answer, read up
 * to a limit. What libcurl would do beyond that on its own (resolve, follow, obey proxy variables, wait for ever) is switched off here.
 */
#include "link/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define HEAD_BYTES_MAX (64 * 1024)
#define CONNECT_MS 5000
#define TOTAL_MS 10000

DEFINE_AUTO(CURL, curl_easy_cleanup);
DEFINE_AUTO(CURLU, curl_url_cleanup);

struct transfer {
    struct http_fetch *fetch;
    struct request *rq;
    struct buffer body;
    size_t head_bytes;
    bool head_too_long;
    bool refused; /* by `allow` */
    struct curl_slist *headers;
    struct curl_slist *connect_to;
};

static size_t
on_body(char *bytes, size_t one, size_t len, void *context)
{
    struct transfer *transfer = context;
    size_t room = transfer->fetch->body_max - transfer->body.len;

    buffer_append(&transfer->body, bytes, len < room ? len : room);
    transfer->fetch->ret_truncated = len > room;
    return len > room ? 0 : len; /* fewer than were given ends the transfer */
}

static size_t
on_header(char *bytes, size_t one, size_t len, void *context)
{
    struct transfer *transfer = context;

    transfer->head_bytes += len;
    transfer->head_too_long = transfer->head_bytes > HEAD_BYTES_MAX;
    return transfer->head_too_long ? 0 : len;
}

static bool
format_address(const struct sockaddr *address, char ret_text[INET6_ADDRSTRLEN], int *ret_port)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    if (address->sa_family == AF_INET) {
        *ret_port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, ret_text, INET6_ADDRSTRLEN) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        *ret_port = ntohs(v6->sin6_port);
        return inet_ntop(AF_INET6, &v6->sin6_addr, ret_text, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

/* The last gate, and the only one that sees what is really dialled. */
static curl_socket_t
on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = context;
    const struct http_fetch *fetch = transfer->fetch;
    char text[INET6_ADDRSTRLEN];
    int port;

    if (!format_address(&address->addr, text, &port) || (fetch->allow != NULL && !fetch->allow(fetch->context, text, port))) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool
is_literal(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* "[::1]" of a URL as "::1". */
static const char *
without_brackets(struct arena *arena, const char *host)
{
    size_t len = strlen(host);
    return len > 2 && host[0] == '[' ? arena_text_n(arena, host + 1, len - 2) : host;
}

/* "::<address>:<port>": whatever the URL says, this is dialled. */
static enum error
choose_address(struct transfer *transfer, CURL *curl)
{
    const struct http_fetch *fetch = transfer->fetch;
    struct request *rq = transfer->rq;
    AUTO(CURLU, url) = curl_url();
    char *host = NULL, *scheme = NULL;

    if (url == NULL)
        abort();
    CURLUcode code = curl_url_set(url, CURLUPART_URL, fetch->url, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(url, CURLUPART_HOST, &host, 0);
    const char *dial = code != CURLUE_OK ? "" : without_brackets(rq->arena, arena_text(rq->arena, fetch->address != NULL ? fetch->address : host));
    bool is_http = code == CURLUE_OK && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(host);
    curl_free(scheme);
    if (!is_http)
        return fail(rq, ERR_BAD_REQUEST, "%.200s is not an http or https URL", fetch->url);
    if (fetch->address == NULL && strcmp(dial, "localhost") == 0)
        dial = "127.0.0.1";
    if (!is_literal(dial))
        return fail(rq, ERR_BAD_REQUEST, "%.200s is not an address; nothing is resolved here", dial);
    const char *port = fetch->port == 0 ? "" : arena_format(rq->arena, "%d", fetch->port);
    transfer->connect_to = curl_slist_append(NULL, arena_format(rq->arena, strchr(dial, ':') != NULL ? "::[%s]:%s" : "::%s:%s", dial, port));
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, transfer->connect_to);
    return OK;
}

static void
set_request(struct transfer *transfer, CURL *curl)
{
    const struct http_fetch *fetch = transfer->fetch;
    const char *method = fetch->method == NULL ? "GET" : fetch->method;

    curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Signet/" SIGNET_VERSION);
    if (fetch->request_body.len > 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fetch->request_body.at);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->request_body.len);
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    transfer->headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; fetch->headers != NULL && fetch->headers[i] != NULL; i++)
        transfer->headers = curl_slist_append(transfer->headers, fetch->headers[i]);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers);
}

static void
set_limits(struct transfer *transfer, CURL *curl)
{
    const struct http_fetch *fetch = transfer->fetch;
    int total_ms = request_time_left_ms(transfer->rq, fetch->total_ms == 0 ? TOTAL_MS : fetch->total_ms);

    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* also switches the environment's off */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(fetch->connect_ms == 0 ? CONNECT_MS : fetch->connect_ms));
    /* 0 would mean for ever. */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(total_ms > 0 ? total_ms : 1));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
}

static void
set_tls(const struct http_fetch *fetch, CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, fetch->verify_tls ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, fetch->verify_tls ? 2L : 0L);
    if (fetch->verify_tls && !text_is_empty(fetch->ca_file))
        curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->ca_file);
    if (!text_is_empty(fetch->cert_file))
        curl_easy_setopt(curl, CURLOPT_SSLCERT, fetch->cert_file);
    if (!text_is_empty(fetch->key_file))
        curl_easy_setopt(curl, CURLOPT_SSLKEY, fetch->key_file);
}

/* The Location of a 3xx, absolute and without the user and password that a stranger may have put there for us to send on. */
static const char *
redirect_of(struct request *rq, CURL *curl)
{
    AUTO(CURLU, url) = curl_url();
    const char *location = NULL;
    char *clean = NULL;

    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    if (url == NULL || location == NULL || curl_url_set(url, CURLUPART_URL, location, 0) != CURLUE_OK)
        return NULL;
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    if (curl_url_get(url, CURLUPART_URL, &clean, 0) != CURLUE_OK)
        return NULL;
    const char *redirect = arena_text(rq->arena, clean);
    curl_free(clean);
    return redirect;
}

static void
take_results(struct transfer *transfer, CURL *curl)
{
    struct http_fetch *fetch = transfer->fetch;
    struct arena *arena = transfer->rq->arena;
    const char *content_type = NULL, *peer = NULL;
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &content_type);
    curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &peer);
    fetch->ret_status = (int)status;
    fetch->ret_body = buffer_bytes(&transfer->body);
    fetch->ret_redirect = redirect_of(transfer->rq, curl);
    fetch->ret_content_type = content_type == NULL ? NULL : arena_text(arena, content_type);
    fetch->ret_peer = peer == NULL ? NULL : arena_text(arena, peer);
}

static const char *
reason_of(CURLcode code, CURL *curl)
{
    curl_off_t connected_us = 0;

    /* libcurl counts a connection as made only after the handshake: the code must be asked first. */
    if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
        code == CURLE_SSL_CACERT_BADFILE)
        return "tls";
    curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    return connected_us == 0 ? "connect" : "";
}

static enum error
perform(struct transfer *transfer, CURL *curl)
{
    char problem[CURL_ERROR_SIZE] = "";

    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && transfer->fetch->ret_truncated)) {
        take_results(transfer, curl);
        return OK;
    }
    if (transfer->refused)
        return fail(transfer->rq, ERR_UNAVAILABLE, "this address may not be asked");
    if (transfer->head_too_long)
        return fail(transfer->rq, ERR_UNAVAILABLE, "the answer's headers are longer than %d bytes", HEAD_BYTES_MAX);
    (void)fail(transfer->rq, ERR_UNAVAILABLE, "%s", problem[0] == '\0' ? curl_easy_strerror(code) : problem);
    return fail_reason(transfer->rq, reason_of(code, curl));
}

static void
initialise(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

enum error
http_fetch(struct request *rq, struct http_fetch *fetch)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct transfer transfer = {.fetch = fetch, .rq = rq, .body = buffer_in(rq->arena)};

    pthread_once(&once, initialise);
    AUTO(CURL, curl) = curl_easy_init();
    if (curl == NULL)
        abort();
    fetch->ret_truncated = false;
    enum error error = choose_address(&transfer, curl);
    if (error == OK) {
        set_request(&transfer, curl);
        set_limits(&transfer, curl);
        set_tls(fetch, curl);
        error = perform(&transfer, curl);
    }
    curl_slist_free_all(transfer.headers);
    curl_slist_free_all(transfer.connect_to);
    return error;
}
