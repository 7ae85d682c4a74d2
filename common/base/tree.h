/* Red-black trees: those of the BSDs (libbsd), whose functions are made for one type in one file.
 *
 *     RB_HEAD(lease_tree, lease);
 *     TREE_GENERATE(lease_tree, lease, by_id, lease_compare)
 */
#ifndef SYNOD_BASE_TREE_H
#define SYNOD_BASE_TREE_H

#include <stddef.h>

#include <bsd/sys/tree.h>

/* As RB_GENERATE_STATIC, which relies on a macro that the C library does not have. */
#define TREE_GENERATE(name, type, field, compare)                                                  \
    RB_GENERATE_INTERNAL(name, type, field, compare, __attribute__((unused)) static)

#endif
