#!/usr/bin/env bash
# Includes go downwards only, the cores are pure, the sources keep to the house rules.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
exec python3 -B tests/lint/run.py
