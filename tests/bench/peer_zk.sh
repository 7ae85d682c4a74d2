#!/usr/bin/env bash
# Measures a 3-server ZooKeeper on loopback, synced to disk, all defaults: asynchronous sets through
# its C client, or how long nobody can write after the leader was killed.
#
#   peer_zk.sh [-m set|failover] [-o "1 1000"] [-v VALUE_BYTES] [-s SECONDS] [-r REPETITIONS]
#              [-p PORT_BASE]
#
# Prints one line a run. Status 2 when something it needs is not installed: zookeeper,
# default-jre-headless, libzookeeper-mt-dev.
set -u
here=$(cd "$(dirname "$0")" && pwd)
mode=set outstanding="1 1000" value_bytes=64 seconds=5 repetitions=3 port=24900
while getopts m:o:v:s:r:p: option; do
    case $option in
    m) mode=$OPTARG ;;
    o) outstanding=$OPTARG ;;
    v) value_bytes=$OPTARG ;;
    s) seconds=$OPTARG ;;
    r) repetitions=$OPTARG ;;
    p) port=$OPTARG ;;
    *) exit 3 ;;
    esac
done
skip() {
    echo "zk: skipped ($1 is not installed); try:" \
        "apt-get install zookeeper default-jre-headless libzookeeper-mt-dev"
    exit 2
}
command -v java >/dev/null || skip java
[ -e /usr/share/java/zookeeper.jar ] || skip zookeeper
[ -e /usr/include/zookeeper/zookeeper.h ] || skip libzookeeper-mt-dev

dir=$(mktemp -d "${TMPDIR:-/tmp}/peer-zk.XXXXXX") || exit 1
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

${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -o "$dir/zk_bench" "$here/zk_bench.c" -lzookeeper_mt -lpthread || exit 1
classes=/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar
for i in 1 2 3; do
    mkdir "$dir/z$i"
    echo "$i" >"$dir/z$i/myid"
    cat >"$dir/z$i.cfg" <<CFG
tickTime=2000
initLimit=10
syncLimit=5
dataDir=$dir/z$i
clientPort=$((port + i))
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
maxClientCnxns=0
server.1=127.0.0.1:$((port + 11)):$((port + 21))
server.2=127.0.0.1:$((port + 12)):$((port + 22))
server.3=127.0.0.1:$((port + 13)):$((port + 23))
CFG
done

start_server() {
    java -Xms512m -Xmx512m -Djava.net.preferIPv4Stack=true \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$classes" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/z$1.cfg" >>"$dir/z$1.log" 2>&1 &
    pids[$1]=$!
}
mode_of() { # leader, follower or nothing
    { exec 9<>"/dev/tcp/127.0.0.1/$((port + $1))" && printf srvr >&9 &&
        timeout 1 cat <&9 | sed -n 's/^Mode: //p'; } 2>/dev/null
    exec 9>&-
}
is_settled() {
    local i leaders=0 followers=0
    for i in 1 2 3; do
        case $(mode_of "$i") in
        leader) leader=$i leaders=$((leaders + 1)) ;;
        follower) followers=$((followers + 1)) ;;
        esac
    done
    [ "$leaders" = 1 ] && [ "$followers" = 2 ]
}
wait_settled() {
    for _ in $(seq 150); do
        is_settled && return 0
        sleep 0.2
    done
    echo "zk: did not settle; the end of its logs:"
    tail -n 5 "$dir"/z*.log
    exit 1
}

for i in 1 2 3; do
    start_server "$i"
done
wait_settled
all=127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2)),127.0.0.1:$((port + 3))
one=127.0.0.1:$((port + leader))
timeout 60 "$dir/zk_bench" "$one" set 256 "${WARM_UP:-10}" 64 >/dev/null # Java compiles
if [ "$mode" = failover ]; then
    for repetition in $(seq "$repetitions"); do
        wait_settled
        victim=$leader
        echo "zk failover repetition=$repetition client:" \
            "$(timeout 60 "$dir/zk_bench" "$all" probe 2 8 "${pids[$victim]}")"
        wait "${pids[$victim]}" 2>/dev/null
        start_server "$victim"
        wait_settled
        victim=$leader
        echo "zk failover repetition=$repetition raw:" \
            "$(timeout 60 python3 "$here/probe_zk.py" "$all" 2 8 "${pids[$victim]}")"
        wait "${pids[$victim]}" 2>/dev/null
        start_server "$victim"
    done
    exit 0
fi
for repetition in $(seq "$repetitions"); do
    for count in $outstanding; do
        echo "zk set outstanding=$count repetition=$repetition:" \
            "$(timeout 150 "$dir/zk_bench" "$one" set "$count" "$seconds" "$value_bytes")"
    done
done
