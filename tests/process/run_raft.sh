#!/usr/bin/env bash
# The process tests in Raft mode: nothing but `protocol: raft` in cluster.yml is different. Groups
# that have nothing to do with it are left out (run.py names them).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
SYNOD_PROTOCOL=raft exec tests/process/run.sh "$@"
