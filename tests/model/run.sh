#!/usr/bin/env bash
# The reference that the state machine is compared with answers random operations as a real etcd 3.4
# does, field by field. MODEL_SEEDS="7 8" and MODEL_OPERATIONS=3000 run others, and more.
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra seeds <<<"${MODEL_SEEDS:-1 2 3 4 5 6}"
exec python3 tests/model/etcd.py "${BUILD:-build}/tests/model/tool_model" \
    "${MODEL_OPERATIONS:-600}" "${seeds[@]}"
