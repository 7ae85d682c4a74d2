#!/usr/bin/env bash
# The same seeds and partitions in Raft mode: the five properties of Raft at every step, and all that
# holds of learners and clients in either mode.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
SIM_PROTOCOL=raft exec tests/sim/run.sh
