/* What the verbs on oracles share: how settings are printed. */
#ifndef SYNOD_DEPLOY_ORACLE_H
#define SYNOD_DEPLOY_ORACLE_H

#include "deploy/output.h"

/* "proposer", in Raft mode "acceptor". */
const char *oracle_role(const struct synod_oracle *oracle);

/* Settings as one object. */
json_t *oracle_json(const struct synod_oracle *oracle);

void oracle_print(enum output_form form, const struct synod_oracle *oracle);

/* Reads "2,1,3", or "none". 0, or 3 after saying what is wrong. */
int oracle_parse_order(const char *verb, const char *text, struct synod_oracle *out);

/* Reads "1-2,2-3", or "none", and sorts it. */
int oracle_parse_topology(const char *verb, const char *text, struct synod_oracle *out);

/* Reads "ID=VALUE"; the value points into the text. */
int oracle_parse_pair(const char *verb, const char *text, uint32_t *id, const char **value);

#endif
