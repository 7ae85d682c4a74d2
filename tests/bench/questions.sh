#!/usr/bin/env bash
# Ten thousand queries under way at one handle, and one at a time, and the memory that takes.
# Options: --help.
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/bench/questions.py "$@"
