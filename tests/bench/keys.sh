#!/usr/bin/env bash
# What a learner needs in memory for a million keys.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/keys.py "$@"
