#!/usr/bin/env bash
# All oracles side by side in the simulator: what the end of a leader costs under each, and how fast
# each recovers in partial partitions. A table, and with --svg FILE a picture. Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/oracles.py "$@"
