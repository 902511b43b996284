# What a fuzz target needs beside base and pki.
FUZZ_NEEDS_message := common/link/message.c
