#include "deploy/base64.h"

#include <stdlib.h>
#include <string.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

#define BASE64_PAD 64 /* the digit that stands for no bits */

char *base64_encode(const uint8_t *data, size_t size)
{
    char *out = malloc((size + 2) / 3 * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < size; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= i + 2 < size ? data[i + 2] : 0;
        out[n++] = base64_digits[bits >> 18];
        out[n++] = base64_digits[bits >> 12 & 63];
        out[n++] = base64_digits[i + 1 < size ? bits >> 6 & 63 : BASE64_PAD];
        out[n++] = base64_digits[i + 2 < size ? bits & 63 : BASE64_PAD];
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    return out;
}

static int value_of(char c)
{
    const char *found = c != '\0' ? strchr(base64_digits, c) : NULL;
    return found != NULL ? (int)(found - base64_digits) : -1;
}

int base64_decode(const char *text, uint8_t *out, size_t *size)
{
    size_t length = strlen(text);
    size_t n = 0;
    if (length % 4 != 0) {
        return 0;
    }
    for (size_t i = 0; i < length; i += 4) {
        size_t pads = 0;
        uint32_t bits = 0;
        for (size_t j = i; j < i + 4; j++) {
            int value = value_of(text[j]);
            if (value < 0 || (value < BASE64_PAD && pads > 0)) {
                return 0;
            }
            pads += value == BASE64_PAD;
            bits = bits << 6 | (uint32_t)(value & 63);
        }
        if (pads > 2 || (pads > 0 && i + 4 < length) || (bits & ((1U << 8 * pads) - 1)) != 0) {
            return 0;
        }
        for (size_t j = 0; j < 3 - pads; j++) {
            out[n++] = (uint8_t)(bits >> (16 - 8 * j));
        }
    }
    *size = n;
    return 1;
}
