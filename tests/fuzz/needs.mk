# What a fuzz target needs beside base and pki.
FUZZ_NEEDS_message := common/link/message.c
FUZZ_NEEDS_http_request := common/link/http_route.c common/link/http_head.c
