#!/usr/bin/env bash
# Multi-Paxos and Raft side by side on this machine: throughput, latency, failover, and what each does
# under the partial partitions. Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/protocols.py "$@"
