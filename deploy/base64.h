/* Base64 (RFC 4648), in which JSON carries bytes that are not UTF-8. */
#ifndef SYNOD_DEPLOY_BASE64_H
#define SYNOD_DEPLOY_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* A malloc'ed text; NULL without memory. */
char *base64_encode(const uint8_t *data, size_t size);

/* Writes at most strlen(text) bytes. 1, or 0 if it is not base64 with its padding. */
int base64_decode(const char *text, uint8_t *out, size_t *size);

#endif
