#!/usr/bin/env bash
# Measures a 3-member etcd on loopback, synced to disk, all defaults: puts through gRPC frames
# (h2load), or how long nobody can write after the leader was killed.
#
#   peer_etcd.sh [-m put|failover] [-o "1 1000"] [-v VALUE_BYTES] [-s SECONDS] [-r REPETITIONS]
#                [-c CONNECTIONS] [-p PORT_BASE]
#
# -o lists numbers of outstanding requests; -c is over how many connections they are spread (default:
# one for each 100). Prints one line a run. Status 2 when something it needs is not installed:
# etcd-server, etcd-client, nghttp2-client.
set -u
here=$(cd "$(dirname "$0")" && pwd)
mode=put outstanding="1 1000" value_bytes=64 seconds=5 repetitions=3 connections=0 port=23900
while getopts m:o:v:s:r:c:p: option; do
    case $option in
    m) mode=$OPTARG ;;
    o) outstanding=$OPTARG ;;
    v) value_bytes=$OPTARG ;;
    s) seconds=$OPTARG ;;
    r) repetitions=$OPTARG ;;
    c) connections=$OPTARG ;;
    p) port=$OPTARG ;;
    *) exit 3 ;;
    esac
done
for needed in etcd etcdctl h2load python3; do
    command -v "$needed" >/dev/null || {
        echo "etcd: skipped ($needed is not installed); try: apt-get install etcd-server etcd-client nghttp2-client"
        exit 2
    }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/peer-etcd.XXXXXX") || exit 1
declare -a pids=()
clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill -9 "$pid" 2>/dev/null
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null
    done
    rm -rf -- "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

client_port() { echo $((port + $1 * 2)); }
peer_port() { echo $((port + $1 * 2 + 1)); }
peers="n0=http://127.0.0.1:$(peer_port 0),n1=http://127.0.0.1:$(peer_port 1),n2=http://127.0.0.1:$(peer_port 2)"
endpoints="127.0.0.1:$(client_port 0),127.0.0.1:$(client_port 1),127.0.0.1:$(client_port 2)"
export ETCDCTL_API=3

start_member() {
    etcd --name "n$1" --data-dir "$dir/n$1" \
        --listen-client-urls "http://127.0.0.1:$(client_port "$1")" \
        --advertise-client-urls "http://127.0.0.1:$(client_port "$1")" \
        --listen-peer-urls "http://127.0.0.1:$(peer_port "$1")" \
        --initial-advertise-peer-urls "http://127.0.0.1:$(peer_port "$1")" \
        --initial-cluster "$peers" --initial-cluster-token peer --initial-cluster-state new \
        --logger zap --log-outputs "$dir/n$1.log" >>"$dir/n$1.out" 2>&1 &
    pids[$1]=$!
}
wait_healthy() {
    for _ in $(seq 100); do
        etcdctl --endpoints "$endpoints" endpoint health >/dev/null 2>&1 && return
        sleep 0.1
    done
}
leader_port() {
    etcdctl --endpoints "$endpoints" endpoint status 2>/dev/null |
        awk -F', ' '$5 == "true" { split($1, address, ":"); print address[2]; exit }'
}

for i in 0 1 2; do
    start_member "$i"
done
wait_healthy
leader=$(leader_port)
if [ -z "$leader" ]; then
    echo "etcd: did not start; the end of its logs:"
    tail -n 5 "$dir"/n*.out "$dir"/n*.log
    exit 1
fi

if [ "$mode" = failover ]; then
    for repetition in $(seq "$repetitions"); do
        leader=$(leader_port)
        for i in 0 1 2; do
            [ "$(client_port "$i")" = "$leader" ] && victim=$i
        done
        echo "etcd failover repetition=$repetition:" \
            "$(timeout 60 python3 "$here/probe_etcd.py" "$endpoints" 2 6 "${pids[$victim]}")"
        wait "${pids[$victim]}" 2>/dev/null
        start_member "$victim"
        wait_healthy
        sleep 1
    done
    exit 0
fi

# One put, as the frame that gRPC wants.
python3 - "$value_bytes" "$dir/put" <<'PY'
import os, struct, sys

def field(number, data):
    size, length = b"", len(data)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data

message = field(1, b"bench-key-000001") + field(2, os.urandom(int(sys.argv[1])))
with open(sys.argv[2], "wb") as file:
    file.write(b"\0" + struct.pack(">I", len(message)) + message)
PY
load() { # OUTSTANDING REQUESTS LOG
    local count=$connections
    [ "$count" = 0 ] && count=$((($1 + 99) / 100))
    timeout 120 h2load -t 1 -c "$count" -m $(($1 / count)) -n "$2" -d "$dir/put" \
        -H 'content-type: application/grpc' -H 'te: trailers' ${3:+--log-file="$3"} \
        "http://127.0.0.1:$leader/etcdserverpb.KV/Put"
}
load 16 2000 "" >/dev/null # the key exists, connections and caches are warm
for repetition in $(seq "$repetitions"); do
    for count in $outstanding; do
        # How many requests take about the wanted time?
        rate=$(load "$count" $((count * 20 > 200 ? count * 20 : 200)) "" |
            sed -n 's/^finished in .*, \([0-9.]*\) req.*/\1/p')
        requests=$(python3 -c "print(max($count * 10, int(${rate:-100} * $seconds) // $count * $count))")
        : >"$dir/log"
        load "$count" "$requests" "$dir/log" >"$dir/h2load.out" 2>&1
        python3 - "$dir" "$count" "$repetition" <<'PY'
import re, sys

folder, outstanding, repetition = sys.argv[1:]
text = open(folder + "/h2load.out").read()
succeeded, failed = re.search(r"(\d+) succeeded, (\d+) failed", text).groups()
rate = float(re.search(r"finished in [\d.]+m?s, ([\d.]+) req", text).group(1))
times = sorted(int(line.split("\t")[2]) for line in open(folder + "/log"))
part = lambda p: times[int(p * (len(times) - 1))]
print(f"etcd put outstanding={outstanding} repetition={repetition}: {rate:.0f} ops/s  "
      f"p50 {part(.5)} us  p99 {part(.99)} us  p99.9 {part(.999)} us  max {times[-1]} us  "
      f"requests {succeeded}  failed {failed}", flush=True)
PY
    done
done
