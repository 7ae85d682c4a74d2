#!/usr/bin/env bash
# Real processes are killed, stopped, fed with nonsense and given bad input under load, and nothing
# that was acknowledged is lost.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/process/run.py "$@"
