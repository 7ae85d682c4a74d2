#!/usr/bin/env bash
# The job of `make run`: replicates the lines of INPUT, kills the leader halfway, and proves what
# every learner holds.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/process/demo.py
