#!/usr/bin/env bash
# Processor time for one operation, with this build and with another one in turn. Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/paired.py "$@"
