/* What is no message is refused at the door, for the right reason and with a sentence that names
 * the fault, before anything is allocated by what it declares. */
#include "common/wire/wire.h"

#include "tests/unit/wire_kit.h"
#include "tests/unit/wire_samples.h"
#include "tests/vectors/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the pre-check */

static const struct {
    const char *hex;
    const char *part; /* of the sentence; NULL: taken */
} scans[] = {
    {"00", NULL},
    {"7f", NULL},
    {"a0", NULL},
    {"90", NULL},
    {"93 01 a161 c40161", NULL},
    {"cc80", NULL},
    {"cd0100", NULL},
    {"ce00010000", NULL},
    {"cf0000000100000000", NULL},
    {"", "cut off"},
    {"cc", "cut off"},
    {"cf00000001000000", "cut off"},
    {"92 01", "declared"},
    {"92 01 cd01", "cut off"},
    {"00 00", "1 bytes follow the end"},
    /* what has a shorter form */
    {"cc7f", "longer form"},
    {"cd00ff", "longer form"},
    {"ce0000ffff", "longer form"},
    {"cf00000000ffffffff", "longer form"},
    {"d90161", "longer form"},
    {"da0001 61", "longer form"},
    {"db00000001 61", "longer form"},
    {"c50001 61", "longer form"},
    {"c600000001 61", "longer form"},
    {"dc0001 00", "longer form"},
    {"dd00000001 00", "longer form"},
    /* what no message holds: nil, never used, bool, ext, float, signed, fixext, map, negative */
    {"c0", "0xc0"},
    {"c1", "0xc1"},
    {"c2", "0xc2"},
    {"c3", "0xc3"},
    {"c70101 61", "0xc7"},
    {"c8000101 61", "0xc8"},
    {"c90000000101 61", "0xc9"},
    {"ca00000000", "0xca"},
    {"cb0000000000000000", "0xcb"},
    {"d0ff", "0xd0"},
    {"d1ffff", "0xd1"},
    {"d2ffffffff", "0xd2"},
    {"d3ffffffffffffffff", "0xd3"},
    {"d40161", "0xd4"},
    {"d8", "0xd8"},
    {"80", "0x80"},
    {"810101", "0x81"},
    {"de000101 01", "0xde"},
    {"df0000000101 01", "0xdf"},
    {"ff", "0xff"},
    {"e0", "0xe0"},
    /* what declares more than can be there: the frame of TRAPS 6 first */
    {"dd20000000", "exceeds the limit of 16384"},
    {"ddffffffff", "exceeds the limit of 16384"},
    {"dc4001", "exceeds the limit of 16384"},
    {"dc4000", "16384 elements are declared where 0 bytes are left"},
    {"dc0010 000000000000000000000000000000", "16 elements are declared where 15 bytes are left"},
    {"92 92 00 00", "2 elements are declared where 2 bytes are left"},
    {"c6ffffffff", "4294967295 bytes are declared where 0 are left"},
    {"dbffffffff 61", "4294967295 bytes are declared where 1 are left"},
    {"c4ff 61", "255 bytes are declared where 1 are left"},
    /* six arrays in each other, and seven */
    {"919191919191 00", NULL},
    {"919191919191 90", NULL},
    {"91919191919191 00", "deeper than 6"},
};

/* The pre-check takes what a message may be made of, and refuses what is too long, too deep, too
 * many, or not in its shortest form, before msgpack-c sees it. */
static void test_scan_takes_shortest_forms_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scans / sizeof scans[0]; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        const char *hex = scans[i].hex;
        assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &bytes, &size), 0);
        struct errmsg err = {""};
        int rc = wire_scan(slice_borrow(bytes, size), &err);
        if (scans[i].part == NULL
                ? rc != 0
                : rc != ERROR_CORRUPT || strstr(err.text, scans[i].part) == NULL) {
            fail_msg("scan of %s: %d, \"%s\"", hex, rc, err.text);
        }
        free(bytes);
    }
}

/* A frame above the limit, and one with more elements than any message has, are refused. */
static void test_scan_bounds_bytes_and_elements(void **state)
{
    (void)state;
    struct errmsg err;
    uint8_t *bytes = calloc(1, MESSAGE_BYTES_MAX + 1);
    assert_non_null(bytes);
    bytes[0] = 0xc6;
    bytes[1] = 0x00;
    bytes[2] = 0x3f;
    bytes[3] = 0xff;
    bytes[4] = 0xfb;
    assert_int_equal(wire_scan(slice_borrow(bytes, MESSAGE_BYTES_MAX), &err), 0);
    assert_int_equal(wire_scan(slice_borrow(bytes, MESSAGE_BYTES_MAX + 1), &err), ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "exceeds the limit of 4194304"));

    /* 16 arrays of 16384 empty arrays each */
    size_t size = 0;
    bytes[size++] = 0xdc;
    bytes[size++] = 0x00;
    bytes[size++] = 0x10;
    for (size_t i = 0; i < 16; i++) {
        bytes[size++] = 0xdc;
        bytes[size++] = 0x40;
        bytes[size++] = 0x00;
        memset(bytes + size, 0x90, PAGE_ENTRIES_MAX);
        size += PAGE_ENTRIES_MAX;
    }
    assert_int_equal(wire_scan(slice_borrow(bytes, size), &err), ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "more than 131072 elements"));
    free(bytes);
}
/* ---- what breaks a rule of the envelope or of a body */

/* Of `connected`; an explanation up to its lists, and an acceptor in it. */
#define PLAIN_SETTINGS " c40b 0100000000000000000000 "
#define EXPLANATION " 9d 01 01 08" NONE NONE "01 00 00 00 00 a0 "
#define SAID(id) "97 " id " 00" NONE NONE "00 00 00 "

static const struct {
    const char *hex;
    enum refusal refusal;
    const char *part;
} refusals[] = {
    /* the envelope */
    {"00", REFUSED_MALFORMED, "no array of 8"},
    {"97 01 " CLUSTER " 01 10 9202 01 01 00", REFUSED_MALFORMED, "no array of 8"},
    {"98 01 " CLUSTER " 01 10 9202 01 01 00 90 00", REFUSED_MALFORMED, "follow the end"},
    {"98 a131 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "but integers"},
    {"98 01 " CLUSTER " 01 90" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "but integers"},
    {"98 01 " CLUSTER " 00 0a" FROM_P "92" BALLOT "00", REFUSED_MALFORMED, "no configuration"},
    {HEAD "0a 9200 00 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9202 00 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9200 01 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9205 01 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 9202 cf0000000100000000 01 00 92" BALLOT "00", REFUSED_MALFORMED, "no sender"},
    {HEAD "0a 02 01 00 92" BALLOT "00", REFUSED_MALFORMED, ""},
    {HEAD "0a 9202 01 00 00 92" BALLOT "00", REFUSED_MALFORMED, "no incarnation"},
    {"98 00 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_VERSION, "version 0 "},
    {"98 02 " CLUSTER " 01 0a" FROM_P "92" BALLOT "00", REFUSED_VERSION,
     "version 2 (this process speaks 1 to 1)"},
    {"98 02 " CLUSTER " 01 ccc8" FROM_P "a0", REFUSED_VERSION, "version 2 "},
    {"98 01 cedeadbeef 01 0a" FROM_P "92" BALLOT "00", REFUSED_CLUSTER,
     "cluster 00000000deadbeef (this process belongs to 6b1f0c9e2a7d4e55)"},
    {HEAD "ccc8" FROM_P "90", REFUSED_KIND, "kind 200 "},
    {HEAD "00" FROM_P "90", REFUSED_KIND, "kind 0 "},
    {HEAD "04" FROM_P "90", REFUSED_KIND, "kind 4 "},
    {HEAD "cfffffffffffffffff" FROM_P "90", REFUSED_KIND, "kind 18446744073709551615 "},
    /* who may say what */
    {HEAD "0a" FROM_A "92" BALLOT "00", REFUSED_MALFORMED, "prepare (no acceptor sends it)"},
    {HEAD "0d" FROM_C "93" BALLOT "01 01", REFUSED_MALFORMED, "accepted (no client sends it)"},
    {HEAD "28" FROM_P "91 c400", REFUSED_MALFORMED, "submit (no proposer sends it)"},
    /* shapes of the body */
    {HEAD "0a" FROM_P "00", REFUSED_MALFORMED, "prepare: the body is no array of 2"},
    {HEAD "0a" FROM_P "91" BALLOT, REFUSED_MALFORMED, "prepare: the body is no array of 2"},
    {HEAD "0a" FROM_P "93" BALLOT "00 00", REFUSED_MALFORMED, "the body is no array of 2"},
    {HEAD "0a" FROM_P "92" BALLOT "a0", REFUSED_MALFORMED, "from_slot is no integer"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 a0", REFUSED_MALFORMED, "value is no bytes"},
    {HEAD "03" FROM_A "92 01 c400", REFUSED_MALFORMED, "text is no text"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 00 00 00 00", REFUSED_MALFORMED, "entries is no array"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 00", REFUSED_MALFORMED,
     "promise: entries[0]: no array of 3"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 92 01" BALLOT, REFUSED_MALFORMED,
     "promise: entries[0]: no array of 3"},
    /* ballots */
    {HEAD "0a" FROM_P "92" NONE "00", REFUSED_MALFORMED, "ballot is the empty ballot"},
    {HEAD "0a" FROM_P "92 93000101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93010001 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93010100 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 920101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 9301cf000000010000000001 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93cf80000000000000000101 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "10" FROM_P "96 93000001 01 00 00 01 00", REFUSED_MALFORMED, "ballot is no ballot"},
    {HEAD "0a" FROM_P "92 93070201 00", REFUSED_MALFORMED,
     "proposer 1 sends a ballot of proposer 2"},
    {HEAD "0c" FROM_P "94 93070201 01 00" NOOP, REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "0f" FROM_P "92 93070201 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "10" FROM_P "96 93070201 01 00 05 01 00", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "12" FROM_P "92 93070201 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "13" FROM_P "93 93070201 01 01", REFUSED_MALFORMED, "a ballot of proposer 2"},
    {HEAD "2a" FROM_P "91 93070201", REFUSED_MALFORMED, "a ballot of proposer 2"},
    /* ranges */
    {HEAD "01" FROM_P "93 00 01 920000", REFUSED_MALFORMED, "version_min is 0"},
    {HEAD "01" FROM_P "93 02 01 920000", REFUSED_MALFORMED, "versions 2 to 1 are no range"},
    {HEAD "01" FROM_P "93 01 01 920401", REFUSED_MALFORMED, "wanted is no member"},
    {HEAD "01" FROM_P "93 01 01 920001", REFUSED_MALFORMED, "wanted is no member"},
    {HEAD "02" FROM_A "91 00", REFUSED_MALFORMED, "version is 0"},
    {HEAD "02" FROM_A "91 cf0000000100000000", REFUSED_MALFORMED, "not 1 to 4294967295"},
    {HEAD "03" FROM_A "92 00 a0", REFUSED_MALFORMED, "reason is 0"},
    {HEAD "0a" FROM_P "92" BALLOT "cf8000000000000000", REFUSED_MALFORMED,
     "from_slot is 9223372036854775808, not 0 to 9223372036854775807"},
    {HEAD "0c" FROM_P "94" BALLOT "00 00" NOOP, REFUSED_MALFORMED, "slot is 0"},
    {HEAD "0d" FROM_A "93" BALLOT "00 01", REFUSED_MALFORMED, "first is 0"},
    {HEAD "0d" FROM_A "93" BALLOT "03 02", REFUSED_MALFORMED, "slots 3 to 2 are no range"},
    {HEAD "0d" FROM_A "93" BALLOT "01 cd4001", REFUSED_MALFORMED, "slots 1 to 16385"},
    {HEAD "0e" FROM_A "94" BALLOT NONE "00 00", REFUSED_MALFORMED, "reason is 0, not 1 to 3"},
    {HEAD "0e" FROM_A "94" BALLOT NONE "04 00", REFUSED_MALFORMED, "reason is 4, not 1 to 3"},
    {HEAD "0e" FROM_A "94" NONE NONE "01 00", REFUSED_MALFORMED, "ballot is the empty ballot"},
    {HEAD "10" FROM_P "96" BALLOT "01 00 00 02 00", REFUSED_MALFORMED, "reaches_quorum is 2"},
    {HEAD "10" FROM_P "96" NONE "01 00 05 01 00", REFUSED_MALFORMED, "a standby asks for a lease"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 00 9294020001009402000100", REFUSED_MALFORMED,
     "proposers[1]: ids do not rise"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 00 9194000001 00", REFUSED_MALFORMED,
     "proposers[0]: proposer is 0"},
    {HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 02 90", REFUSED_MALFORMED, "disk_low is 2"},
    {HEAD "13" FROM_P "93" BALLOT "00 01", REFUSED_MALFORMED, "target is 0"},
    {HEAD "13" FROM_P "93" BALLOT "01 00", REFUSED_MALFORMED, "source is 0"},
    {HEAD "14" FROM_L "92 00 00", REFUSED_MALFORMED, "from is 0"},
    {HEAD "29" FROM_P "94 05 00 00 00", REFUSED_MALFORMED, "reason is 5"},
    {HEAD "2c" FROM_C "96 01 00 00 00 00 00", REFUSED_MALFORMED, "from is 0"},
    {HEAD "2c" FROM_C "96 01 01 00 00 00 02", REFUSED_MALFORMED, "consistency is 2"},
    /* values */
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c408 0100000000000003", REFUSED_MALFORMED,
     "value has 8 bytes, not 9 to"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c409 0400000000000003e8", REFUSED_MALFORMED,
     "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c409 0500000000000003e8", REFUSED_MALFORMED,
     "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c415 0400000000000003e8 00000000 0000000000000009",
     REFUSED_MALFORMED, "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c40a 0100000000000003e800", REFUSED_MALFORMED,
     "value is no well-formed value"},
    {HEAD "0c" FROM_P "94" BALLOT "01 00 c40a 0300000000000003e800", REFUSED_MALFORMED,
     "value is no well-formed value"},
    /* pages */
    {HEAD "0b" FROM_A "97" BALLOT "00 28 28 00 00 91" ENTRY("28"), REFUSED_MALFORMED,
     "entries[0]: slot 40 does not lie above 40"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 2a 00 00 92" ENTRY("2a") ENTRY("29"), REFUSED_MALFORMED,
     "entries[1]: slot 41 does not lie above 42"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 29 00 00 91" ENTRY("2a"), REFUSED_MALFORMED,
     "slot 42 lies above accepted_max 41"},
    {HEAD "0b" FROM_A "97" BALLOT "00 28 2a 2a 00 91" ENTRY("2a"), REFUSED_MALFORMED,
     "next_slot 42 would page backwards"},
    {HEAD "0b" FROM_A "97" BALLOT "00 00 01 00 00 91 93 01" NONE NOOP, REFUSED_MALFORMED,
     "entries[0]: ballot is the empty ballot"},
    {HEAD "15" FROM_A "94 05 09 00 92" ENTRY("06") ENTRY("06"), REFUSED_MALFORMED,
     "entries[1]: slot 6 lies below 7"},
    {HEAD "15" FROM_A "94 05 09 00 91" ENTRY("04"), REFUSED_MALFORMED,
     "entries[0]: slot 4 lies below 5"},
    {HEAD "15" FROM_A "94 05 09 05 91" ENTRY("05"), REFUSED_MALFORMED, "reach below trimmed"},
    {HEAD "15" FROM_A "94 05 09 0a 90", REFUSED_MALFORMED, "trimmed 10 lies above chosen 9"},
    /* Raft */
    {HEAD "1a" FROM_P "94 07 02 00 00", REFUSED_MALFORMED, "request_vote (no proposer sends it)"},
    {HEAD "1a" FROM_A "94 07 04 00 00", REFUSED_MALFORMED, "mode is 4, not 1 to 3"},
    {HEAD "1a" FROM_A "94 07 02 05 00", REFUSED_MALFORMED, "is no end of the log of a candidate"},
    {HEAD "1a" FROM_A "94 07 02 05 07", REFUSED_MALFORMED, "is no end of the log of a candidate"},
    {HEAD "1b" FROM_A "94 07 07 02 02", REFUSED_MALFORMED, "granted is 2"},
    {HEAD "1c" FROM_A "96 93070901 01 00 00 00 90", REFUSED_MALFORMED, "a ballot of acceptor 9"},
    {HEAD "1c" FROM_A "96" BALLOT_A "01 05 00 00 90", REFUSED_MALFORMED, "are no log of a leader"},
    {HEAD "1c" FROM_A "96" BALLOT_A "01 05 08 00 90", REFUSED_MALFORMED, "are no log of a leader"},
    {HEAD "1c" FROM_A "96" BALLOT_A "01 05 05 00 91" ENTRY("07"), REFUSED_MALFORMED,
     "entries[0]: slot 7 is not 6"},
    {HEAD "1c" FROM_A "96" BALLOT_A "01 05 06 00 91 93 06 93050101" NOOP, REFUSED_MALFORMED,
     "entries[0]: term 5 after 6"},
    {HEAD "1d" FROM_A "97" BALLOT_A "00 01 00 05 00 05", REFUSED_MALFORMED, "term is 0"},
    {HEAD "1e" FROM_A "91 93070901", REFUSED_MALFORMED, "a ballot of acceptor 9"},
    {HEAD "1f" FROM_P "94" BALLOT_A "01 01" NOOP, REFUSED_MALFORMED, "hands over batches only"},
    {HEAD "20" FROM_A "94" BALLOT_A "01 03" NONE, REFUSED_MALFORMED, "status is 3"},
    /* clients */
    {HEAD "2b" FROM_L "93 03 01 91 95 01 00 00 00 c4 00", REFUSED_MALFORMED,
     "ranges[0]: an empty range with status 0"},
    {HEAD "2b" FROM_L "93 03 01 91 95 01 01 0c 00 c400", REFUSED_MALFORMED,
     "ranges[0]: status is 12"},
    {HEAD "2b" FROM_L "93 03 01 91 95 01 ce00800001 00 00 c400", REFUSED_MALFORMED,
     "ranges[0]: count is 8388609, not 0 to 8388608"},
    {HEAD "2d" FROM_L "97 01 01 05 05 01 05 91 c400", REFUSED_MALFORMED, "with status 1"},
    {HEAD "2d" FROM_L "97 01 00 05 05 01 04 91 c400", REFUSED_MALFORMED, "1 records from 4"},
    {HEAD "2d" FROM_L "97 01 00 05 05 01 05 92 c400 c400", REFUSED_MALFORMED, "2 records from 5"},
    {HEAD "2d" FROM_L "97 01 00 00 05 01 00 91 c400", REFUSED_MALFORMED, "1 records from 0"},
    {HEAD "2d" FROM_L "97 01 00 01 05 01 01 91 00", REFUSED_MALFORMED,
     "records[0]: record is no bytes"},
    {HEAD "2f" FROM_L "92 01 90", REFUSED_MALFORMED, "nodes has 0 elements, not 1 to 96"},
    {HEAD "2f" FROM_L "92 01 91 dc0010 9200 00" NODE_REST, REFUSED_MALFORMED,
     "nodes[0]: node is nobody"},
    {HEAD "2f" FROM_L "92 01 91 dc0010 9203 02" NODE_REST, REFUSED_MALFORMED,
     "nodes[0] is not the sender"},
    {HEAD "2b" FROM_L "93 03 01 91 95 01 01 10 00 c400", REFUSED_MALFORMED, "status is 16"},
    {HEAD "30" FROM_C "94 01 06 00 c400", REFUSED_MALFORMED, "op is 6, not 1 to 5"},
    {HEAD "31" FROM_L "95 01 0f 01 01 c400", REFUSED_MALFORMED, "status is 15, not 0 to 14"},
    /* oracles */
    {HEAD "21" FROM_A "98 01 03 00 00 00 00 00 90", REFUSED_MALFORMED, "no acceptor sends it"},
    {HEAD "21" FROM_P "98 00 03 00 00 00 00 00 90", REFUSED_MALFORMED, "type is 0, not 1 to 9"},
    {HEAD "21" FROM_P "98 0a 03 00 00 00 00 00 90", REFUSED_MALFORMED, "type is 10, not 1 to 9"},
    {HEAD "21" FROM_P "98 01 00 00 00 00 00 00 90", REFUSED_MALFORMED, "kind is 0, not 1 to 8"},
    {HEAD "21" FROM_P "98 01 09 00 00 00 00 00 90", REFUSED_MALFORMED, "kind is 9, not 1 to 8"},
    {HEAD "21" FROM_P "98 06 05 00 00 00 00 00 91 94 00 00 00 00", REFUSED_MALFORMED,
     "rumors[0]: proposer is 0"},
    {HEAD "21" FROM_P "98 06 05 00 00 00 00 00 91 94 01 03 00 00", REFUSED_MALFORMED,
     "rumors[0]: state is 3"},
    {HEAD "22" FROM_L "92 01 05", REFUSED_MALFORMED, "lease (no learner sends it)"},
    {HEAD "23" FROM_P "94 01 01 01 05", REFUSED_MALFORMED, "leased (no proposer sends it)"},
    {HEAD "23" FROM_A "94 01 02 01 05", REFUSED_MALFORMED, "granted is 2"},
    {HEAD "23" FROM_A "94 01 01 00 05", REFUSED_MALFORMED, "a lease is granted that nobody holds"},
    {HEAD "24" FROM_P "94 2c 00 c400 90", REFUSED_MALFORMED, "settings (no proposer sends it)"},
    {HEAD "24" FROM_L "94 2c 00" PLAIN_SETTINGS "90", REFUSED_MALFORMED,
     "11 bytes of settings are no version 0"},
    {HEAD "24" FROM_L "94 2c 01 c400 90", REFUSED_MALFORMED,
     "0 bytes of settings are no version 1"},
    {HEAD "24" FROM_L "94 2c 01 c40b 0900000000000000000000 90", REFUSED_MALFORMED,
     "the oracle is of unknown kind 9"},
    {HEAD "24" FROM_L "94 2c 00 c400 91 94 01 09 2d 00", REFUSED_MALFORMED,
     "line[0]: slot 45 does not lie in 1 to 44"},
    {HEAD "24" FROM_L "94 2c 00 c400 92 94 01 09 2b 00 94 02 09 2a 00", REFUSED_MALFORMED,
     "line[1]: slot 42 does not lie in 43 to 44"},
    {HEAD "24" FROM_L "94 2c 00 c400 92 94 01 09 2b 00 94 01 08 2c 00", REFUSED_MALFORMED,
     "line[1]: proposer 1 stands in it twice"},
    {HEAD "24" FROM_L "94 2c 00 c400 91 94 00 09 01 00", REFUSED_MALFORMED, "proposer is 0"},
    {HEAD "24" FROM_L "94 2c 00 c400 91 94 01 00 01 00", REFUSED_MALFORMED, "incarnation is 0"},
    /* operators */
    {HEAD "34" FROM_P "93 01 02 05", REFUSED_MALFORMED, "name (no proposer sends it)"},
    {HEAD "35" FROM_P "93 01 03 00", REFUSED_MALFORMED, "status is 3, not 0 to 2"},
    {HEAD "36" FROM_L "92 01 02", REFUSED_MALFORMED, "transfer (no learner sends it)"},
    {HEAD "37" FROM_C "93 01 00 01", REFUSED_MALFORMED, "transferred (no client sends it)"},
    {HEAD "37" FROM_P "93 01 07 01", REFUSED_MALFORMED, "status is 7, not 0 to 6"},
    {HEAD "37" FROM_P "93 01 00 00", REFUSED_MALFORMED, "status 0 comes from no leader"},
    {HEAD "37" FROM_A "93 01 05 00", REFUSED_MALFORMED, "status 5 comes from no leader"},
    {HEAD "38" FROM_P "91 01", REFUSED_MALFORMED, "explain (no proposer sends it)"},
    {HEAD "39" FROM_P "9d 01 01 0a" NONE NONE "01 00 00 00 00 a0 90 90", REFUSED_MALFORMED,
     "gate is 10, not 1 to 9"},
    {HEAD "39" FROM_P "9d 01 01 08" NONE NONE "01 00 00 00 00 a20a62 90 90", REFUSED_MALFORMED,
     "oracle is not UTF-8"},
    {HEAD "39" FROM_P EXPLANATION "92" SAID("02") SAID("02") "90", REFUSED_MALFORMED,
     "acceptors[1]: ids do not rise"},
    {HEAD "39" FROM_P EXPLANATION "90 92 95 01 02 00 00 00 95 01 02 00 00 00", REFUSED_MALFORMED,
     "links[1]: ids do not rise"},
    {HEAD "39" FROM_P EXPLANATION "90 92 95 02 01 00 00 00 95 01 02 00 00 00", REFUSED_MALFORMED,
     "links[1]: ids do not rise"},
};

/* Each rule of the envelope and of the bodies refuses what breaks it, and says which it was. */
static void test_what_breaks_a_rule_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct outcome o;
        wire_kit_decode_hex(&o, refusals[i].hex);
        if (o.rc == 0) {
            fail_msg("taken: %s", refusals[i].hex);
        }
        wire_kit_assert_refused(&o, refusals[i].refusal, refusals[i].part);
        wire_kit_forget(&o);
    }
}

/* The frames of the table above fail for the reason they name only: corrected, they are taken. */
static void test_the_same_frames_without_the_fault_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        HEAD "0a" FROM_P "92" BALLOT "00",
        HEAD "0b" FROM_A "97" BALLOT "00 28 2a 2b 00 92" ENTRY("29") ENTRY("2a"),
        HEAD "0c" FROM_P "94" BALLOT "01 00" NOOP,
        HEAD "0d" FROM_A "93" BALLOT "01 cd4000",
        HEAD "0e" FROM_A "94" BALLOT NONE "03 00",
        HEAD "10" FROM_P "96" NONE "01 00 00 01 00",
        HEAD "11" FROM_A "99 01" NONE NONE "00 00 00 00 01 9294010001009402000100",
        HEAD "15" FROM_A "94 05 06 04 92" ENTRY("05") ENTRY("06"),
        HEAD "1a" FROM_A "94 07 02 05 06",
        HEAD "1c" FROM_A "96" BALLOT_A "01 05 05 00 91" ENTRY("06"),
        HEAD "1d" FROM_A "97" BALLOT_A "07 01 00 05 00 05",
        HEAD "20" FROM_A "94" BALLOT_A "01 02" NONE,
        HEAD "2b" FROM_L "93 03 01 92 95 01 00 01 00 c4 00 95 01 00 02 00 c4 00",
        HEAD "2d" FROM_L "97 01 00 05 06 01 05 92 c400 c400",
        HEAD "2f" FROM_L "92 01 91 dc0010 9203 01" NODE_REST,
        HEAD "2b" FROM_L "93 03 01 91 95 01 01 0f 00 c400",
        HEAD "30" FROM_C "94 01 05 00 c400",
        HEAD "0c" FROM_P "94" BALLOT "01 00 c415 0400000000000003e8 00000001 0000000000000009",
        HEAD "21" FROM_P "98 06 05 00 00 00 00 00 91 94 01 02 00 00",
        HEAD "23" FROM_A "94 01 01 01 05",
        HEAD "24" FROM_L "94 2c 01" PLAIN_SETTINGS "90",
        HEAD "24" FROM_L "94 2c 00 c400 92 94 01 09 2b 00 94 02 09 2b 00",
        HEAD "35" FROM_P "93 01 02 00",
        HEAD "37" FROM_P "93 01 06 00",
        HEAD "37" FROM_A "93 01 05 01",
        HEAD "39" FROM_P EXPLANATION "92" SAID("01") SAID("02") "90",
        HEAD "39" FROM_P EXPLANATION "90 92 95 01 02 00 00 00 95 02 01 00 00 00",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct outcome o;
        wire_kit_decode_hex(&o, good[i]);
        if (o.rc != 0) {
            fail_msg("%s: %s", good[i], o.err.text);
        }
        wire_kit_forget(&o);
    }
}

/* A refusal finds its way: kind, sender, incarnation and echo are read even from a frame of another
 * version, and as far as they can be from a damaged one. */
static void test_the_sender_of_a_refused_frame_is_known(void **state)
{
    (void)state;
    struct outcome o;
    wire_kit_decode_hex(&o, "98 09 01 01 0a 9202 01 cf1122334455667788 05 a568656c6c6f");
    wire_kit_assert_refused(&o, REFUSED_VERSION, "version 9 ");
    assert_int_equal(o.msg.kind, MSG_PREPARE);
    assert_true(peer_equal(o.msg.from, (struct peer){ROLE_PROPOSER, 1}));
    assert_int_equal(o.msg.incarnation, 0x1122334455667788);
    assert_int_equal(o.msg.echo, 5);
    wire_kit_forget(&o);

    wire_kit_decode_hex(&o, HEAD "a0 9202 01 07 00 90");
    wire_kit_assert_refused(&o, REFUSED_MALFORMED, "but integers");
    assert_int_equal(o.msg.kind, 0);
    assert_true(peer_equal(o.msg.from, (struct peer){ROLE_PROPOSER, 1}));
    assert_int_equal(o.msg.incarnation, 7);
    wire_kit_forget(&o);

    wire_kit_decode_hex(&o, "c0");
    wire_kit_assert_refused(&o, REFUSED_MALFORMED, "0xc0");
    assert_int_equal(o.msg.from.role, ROLE_NONE);
    assert_int_equal(o.msg.incarnation, 0);
    wire_kit_forget(&o);
}

/* Who dialled another cluster is refused by a frame of that one, and must be able to read it. */
static void test_a_refusal_is_taken_from_another_cluster(void **state)
{
    (void)state;
    struct outcome o;
    wire_kit_decode_hex(&o, "98 01 02 01 03" FROM_A "92 02 a26e6f");
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.msg.kind, MSG_REFUSED);
    assert_int_equal(o.msg.refused.reason, REFUSED_CLUSTER);
    assert_true(slice_equal(o.msg.refused.text, slice_borrow("no", 2)));
    wire_kit_forget(&o);
}

/* The configuration number is carried for later: any from 1 on is taken. */
static void test_any_configuration_number_is_taken(void **state)
{
    (void)state;
    struct outcome o;
    wire_kit_decode_hex(&o, "98 01 " CLUSTER " cfffffffffffffffff 0a" FROM_P "92" BALLOT "00");
    assert_int_equal(o.rc, 0);
    wire_kit_forget(&o);
}
/* The text of a refusal goes to logs and terminals: only UTF-8 without control characters
 * passes. */
static void test_texts_are_utf8_without_control_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int is_good;
    } texts[] = {
        {"plain", 1},
        {"gr\xc3\xbc\xc3\x9f", 1},
        {"\xe2\x82\xac", 1},
        {"\xed\x9f\xbf", 1},
        {"\xf0\x9f\x90\x98", 1},
        {"\xf4\x8f\xbf\xbf", 1},
        {"\xc2\xa0", 1},
        {"two\nlines", 0},
        {"\x1b[31m", 0},
        {"\x7f", 0},
        {"\xc2\x9b", 0},         /* the other control characters */
        {"\x80", 0},             /* begins with a continuation */
        {"\xc3", 0},             /* cut off */
        {"\xc3z", 0},            /* no continuation */
        {"\xc0\xaf", 0},         /* overlong */
        {"\xe0\x80\xaf", 0},     /* overlong */
        {"\xf0\x80\x80\xaf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond Unicode */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct message msg = wire_kit_sample("refused");
        msg.refused.text = slice_borrow(texts[i].bytes, strlen(texts[i].bytes));
        wire_kit_assert_round_trip(&msg, texts[i].is_good ? NULL : "text is not UTF-8");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_takes_shortest_forms_only),
        cmocka_unit_test(test_scan_bounds_bytes_and_elements),
        cmocka_unit_test(test_what_breaks_a_rule_is_refused_by_name),
        cmocka_unit_test(test_the_same_frames_without_the_fault_are_taken),
        cmocka_unit_test(test_the_sender_of_a_refused_frame_is_known),
        cmocka_unit_test(test_a_refusal_is_taken_from_another_cluster),
        cmocka_unit_test(test_any_configuration_number_is_taken),
        cmocka_unit_test(test_texts_are_utf8_without_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
