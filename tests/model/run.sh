#!/usr/bin/env bash
# The reference that the state machine is compared with answers random operations as a real etcd 3.4
# does, field by field. MODEL_SEEDS="7 8" and MODEL_OPERATIONS=1000 run others, and more.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

skip() {
    echo "ok 1 - the reference answers as etcd # SKIP $1"
    echo 1..1
    exit 0
}
if ! command -v etcd >/dev/null; then
    skip "etcd-server is not installed; try: apt-get install etcd-server"
fi
version=$(etcd --version | sed -n 's/^etcd Version: //p')
case $version in
3.4.*) ;;
*) skip "etcd is $version; the model is that of 3.4" ;;
esac

read -ra seeds <<<"${MODEL_SEEDS:-1 2 3 4 5 6}"
exec python3 tests/model/etcd.py "${BUILD:-build}/tests/model/tool_model" \
    "${MODEL_OPERATIONS:-400}" "${seeds[@]}"
