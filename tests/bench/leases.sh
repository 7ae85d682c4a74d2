#!/usr/bin/env bash
# What ten thousand leases that are kept alive cost everybody else.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/leases.py "$@"
