#!/usr/bin/env bash
# How long nobody can append after the leader was killed, and when it hands over.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/failover.py "$@"
