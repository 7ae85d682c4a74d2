#!/usr/bin/env bash
# Scenario files step whole clusters of cores message by message and show each rule of Multi-Paxos
# and, named raft_, of Raft, refusals too. With --rewrite the expected traces are made anew; with files only those run.
set -euo pipefail
cd "$(dirname "$0")/../.."

options=()
if [ "${1:-}" = --rewrite ]; then
    options+=(--rewrite)
    shift
fi
if [ $# -eq 0 ]; then
    set -- tests/trace/scenarios/*.txt
fi
exec "${BUILD:-build}/tests/trace/tool_trace" "${options[@]}" "$@"
