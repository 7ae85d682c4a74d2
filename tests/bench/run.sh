#!/usr/bin/env bash
# What `make bench` runs: Synod in turn with the limit of the machine, etcd and ZooKeeper.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/compare.py "$@"
