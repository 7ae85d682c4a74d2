/* Addresses as cluster.yml has them: "tcp://host:port", where host is an IPv4 address, an IPv6
 * address in brackets, or a DNS name. Nothing is looked up here. */
#ifndef SYNOD_CONFIG_ADDRESS_H
#define SYNOD_CONFIG_ADDRESS_H

#include "common/base/error.h"

#include <stdint.h>

/* The longest address, with its terminator. */
#define CONFIG_ADDRESS_BYTES_MAX 128

struct address {
    char host[CONFIG_ADDRESS_BYTES_MAX]; /* in one spelling: lower case, IPv6 compressed, no
                                            brackets */
    uint16_t port;                       /* 1 to 65535 */
};

/* Reads text. ERROR_USAGE with the reason in err ("port 70000 is above 65535"), for the caller to
 * put into a sentence. Addresses that nobody could dial (a wildcard such as "*" or 0.0.0.0) are
 * refused, because the same file tells the others where to find this process. */
int address_parse(const char *text, struct address *out, struct errmsg *err) MUST_USE;

/* 1 if both name the same host and port, spelled differently or not. */
int address_equal(const struct address *a, const struct address *b);

#endif
