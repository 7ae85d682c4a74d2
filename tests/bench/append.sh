#!/usr/bin/env bash
# A million records through `synod append`, and what every process needs for it in memory.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/append.py "$@"
