#include "common/config/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "tcp://"
#define LABEL_BYTES_MAX 63 /* RFC 1035, 2.3.4 */

static int parse_port(const char *text, uint16_t *out, struct errmsg *err)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        return errmsg_set(err, ERROR_USAGE, "after the last colon must be a port number");
    }
    if (text[0] == '0') {
        return errmsg_set(err, ERROR_USAGE, "a port is 1 to 65535 without leading zeros");
    }
    unsigned long port = digits <= 5 ? strtoul(text, NULL, 10) : 65536;
    if (port > 65535) {
        return errmsg_set(err, ERROR_USAGE, "port %.20s is above 65535", text);
    }
    *out = (uint16_t)port;
    return 0;
}

static int parse_ipv6(char *host, struct errmsg *err)
{
    struct in6_addr ip;
    if (inet_pton(AF_INET6, host, &ip) != 1) {
        return errmsg_set(err, ERROR_USAGE, "between the brackets is no IPv6 address");
    }
    if (IN6_IS_ADDR_UNSPECIFIED(&ip)) {
        return errmsg_set(err, ERROR_USAGE, "[::] means any address, which nobody can dial");
    }
    inet_ntop(AF_INET6, &ip, host, CONFIG_ADDRESS_BYTES_MAX);
    return 0;
}

static int parse_ipv4(const char *host, struct errmsg *err)
{
    struct in_addr ip;
    if (inet_pton(AF_INET, host, &ip) != 1) {
        return errmsg_set(err, ERROR_USAGE, "%s is no IPv4 address", host);
    }
    if (ip.s_addr == htonl(INADDR_ANY)) {
        return errmsg_set(err, ERROR_USAGE, "0.0.0.0 means any address, which nobody can dial");
    }
    return 0;
}

/* RFC 1123, 2.1, and the underscore, which names of containers contain. */
static int check_name(const char *host, struct errmsg *err)
{
    size_t label = 0;
    for (const char *p = host;; p++) {
        if (*p == '.' || *p == '\0') {
            if (label == 0 || label > LABEL_BYTES_MAX || p[-1] == '-') {
                return errmsg_set(err, ERROR_USAGE, "%s is no host name", host);
            }
            label = 0;
            if (*p == '\0') {
                return 0;
            }
            continue;
        }
        if (!isalnum((unsigned char)*p) && *p != '_' && (*p != '-' || label == 0)) {
            return errmsg_set(err, ERROR_USAGE,
                              "a host is an IPv4 address, an IPv6 address in [brackets] or a name "
                              "of letters, digits and hyphens");
        }
        label++;
    }
}

static int parse_host(char *host, struct errmsg *err)
{
    if (host[0] == '[') {
        size_t size = strlen(host);
        if (host[size - 1] != ']') {
            return errmsg_set(err, ERROR_USAGE, "the bracket of the IPv6 address is not closed");
        }
        host[size - 1] = '\0';
        memmove(host, host + 1, size - 1);
        return parse_ipv6(host, err);
    }
    if (strchr(host, ':') != NULL) {
        return errmsg_set(err, ERROR_USAGE, "an IPv6 address is written in [brackets]");
    }
    if (strcmp(host, "*") == 0) {
        return errmsg_set(err, ERROR_USAGE, "* means any address, which nobody can dial");
    }
    const char *last = strrchr(host, '.');
    last = last != NULL ? last + 1 : host;
    if (last[0] != '\0' && last[strspn(last, "0123456789")] == '\0') {
        return parse_ipv4(host, err); /* no top-level domain is numeric */
    }
    for (char *p = host; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    return check_name(host, err);
}

int address_parse(const char *text, struct address *out, struct errmsg *err)
{
    struct address found;
    memset(&found, 0, sizeof found);
    if (strlen(text) >= CONFIG_ADDRESS_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE, "longer than %d bytes", CONFIG_ADDRESS_BYTES_MAX - 1);
    }
    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0) {
        return errmsg_set(err, ERROR_USAGE, "it must begin with tcp://");
    }
    const char *host = text + strlen(SCHEME);
    const char *colon = strrchr(host, ':');
    if (colon == NULL || (host[0] == '[' && strchr(colon, ']') != NULL)) {
        return errmsg_set(err, ERROR_USAGE, "the port is missing");
    }
    if (colon == host) {
        return errmsg_set(err, ERROR_USAGE, "the host is missing");
    }
    memcpy(found.host, host, (size_t)(colon - host));
    int rc = parse_port(colon + 1, &found.port, err);
    if (rc == 0) {
        rc = parse_host(found.host, err);
    }
    if (rc == 0) {
        *out = found;
    }
    return rc;
}

int address_equal(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}
