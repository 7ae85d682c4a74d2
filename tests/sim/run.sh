#!/usr/bin/env bash
# Whole clusters in virtual time: random faults, the partial partitions that real systems died of,
# and the seeds of bugs that were found; the same seed gives the same run under another compiler.
#
# Environment: SIM_PROTOCOL (default paxos; run_raft.sh sets raft), SIM_SEEDS (default 500) random
# runs of SIM_MINUTES (default 1) virtual minutes each, SIM_PARTITION_SEEDS (default 10) runs of each
# partition, SIM_ORACLE_SEEDS (default 60) of the conformance suite of each oracle. `make soak` sets
# the large numbers. How long it took is printed; that depends on the
# machine and proves nothing.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-build}
protocol=${SIM_PROTOCOL:-paxos}
sim=("$build/synod-sim" --protocol "$protocol")
slower=1
[ -n "${SAN:-}" ] && slower=10 # a sanitizer costs that much: fewer seeds, more time
seeds=${SIM_SEEDS:-$((500 / slower))}
minutes=${SIM_MINUTES:-1}
partition_seeds=${SIM_PARTITION_SEEDS:-$((10 / slower > 1 ? 10 / slower : 2))}
oracle_seeds=${SIM_ORACLE_SEEDS:-$((60 / slower))}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sim.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# Marks that no correct cluster can hit: they guard against agreement that is broken already.
unreachable="accept that contradicts a chosen slot refused
append that is too long for one turn"
# Along the log of Raft the stamps rise.
[ "$protocol" = raft ] && unreachable="$unreachable
stamp behind the cluster's time"

# The texts of the marks that the sources of this protocol count: the others it cannot meet.
expected_marks() {
    local sources=(acceptor/*.c proposer/oracle/*.c
        proposer/{explain,intake,prepare,proposer,recover,standby,time,transfer,view,window}.c)
    [ "$protocol" = raft ] && sources=(acceptor/raft/*.c proposer/forward*.c)
    cat "${sources[@]}" proposer/clients.c learner/*.c learner/machine/*.c |
        grep -oE '\bMARK_[A-Z_]+' | sort -u | sed 's/^MARK_/X(/; s/$/,/' |
        grep -hFf - common/protocol/marks.h | sed 's/.*, "\(.*\)").*/\1/'
}

count=0
failures=0

verdict() { # status description
    count=$((count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        failures=$((failures + 1))
    fi
}

# Every failed seed, and how the last one ended.
diagnose() {
    grep -E '^(FAILED|replay:)' "$1" | sed 's/^/# /'
    grep -vE '^mark ' "$1" | tail -n 60 | sed 's/^/# /'
}

# The number after NAME= or NAME in an output, as an integer of thousandths: "p99=1.250" is 1250.
thousandths() {
    sed -n "s/.*$2=\([0-9]*\)\.\([0-9]*\).*/\1\2/p" "$1" | sed 's/^0*\([0-9]\)/\1/' | tail -n 1
}

swarm() {
    local out=$scratch/swarm began=$SECONDS
    "${sim[@]}" --seeds "1..$seeds" --minutes "$minutes" --failures 5 --marks >"$out" 2>&1
    local status=$? took=$((SECONDS - began))
    grep -E '^(seeds|faults|healed|hash|speed)' "$out" | sed 's/^/# /'
    verdict $status "$seeds seeds of $minutes virtual minutes: every rule holds at every step"
    [ $status = 0 ] || diagnose "$out"
    echo "# they took $took s"
    local never
    never=$(sed -n 's/^mark  *0 //p' "$out" | grep -vxF "$unreachable" |
        grep -xFf <(expected_marks))
    never+=$(sed -n 's/^met  *0 /\n/p' "$out") # events of the simulator itself
    never=$(sed '/^$/d' <<<"$never")
    if [ "$seeds" -lt 500 ]; then
        count=$((count + 1))
        echo "ok $count - every rare event was met # SKIP needs 500 seeds"
        return
    fi
    [ -z "$never" ]
    verdict $? "every rare event that the cores and the simulator count was met"
    [ -z "$never" ] || sed 's/^/# never: /' <<<"$never"
}

# Locks and queues: one holder, tokens that rise, messages acknowledged once or still there.
recipes() {
    local out=$scratch/recipes
    "${sim[@]}" --scenario recipes --seeds "1..$((seeds / 5))" --minutes "$minutes" --failures 3 \
        >"$out" 2>&1
    local status=$?
    verdict $status "$((seeds / 5)) seeds of clients with locks and queues"
    [ $status = 0 ] || diagnose "$out"
}

speed() {
    local out=$scratch/speed
    "${sim[@]}" --scenario steady --seed 1 >"$out" 2>&1
    local status=$? times
    times=$(sed -n 's/^speed=\([0-9]*\) .*/\1/p' "$out")
    verdict $status "3 acceptors, 2 proposers, 2 learners, 200 operations a second"
    echo "# ${times:-?} times real time"
}

terminal() {
    local out=$scratch/terminal
    tests/sim/terminal.py "${sim[@]}" >"$out" 2>&1
    local status=$?
    verdict $status "a line of progress on a terminal only, and failures as they happen"
    [ $status = 0 ] || diagnose "$out"
}

# Builds the simulator with the other compiler, without optimisation, and compares what happened.
compilers() {
    local title="gcc -O2 and clang -O0 give the same runs"
    if ! command -v clang >/dev/null || ! command -v gcc >/dev/null || [ -n "${SAN:-}" ] ||
        [ "$protocol" = raft ]; then
        count=$((count + 1))
        echo "ok $count - $title # SKIP needs gcc, clang, no sanitizer, and is done for paxos"
        return
    fi
    local gcc_sim=${sim[0]} clang_sim=$build/sim-clang-O0/synod-sim
    if [ "${CC:-gcc}" != gcc ]; then
        gcc_sim=$build/sim-gcc-O2/synod-sim
        make -s CC=gcc CFLAGS=-O2 B="$build/sim-gcc-O2" "$gcc_sim" >"$scratch/make" 2>&1
    fi
    make -s CC=clang CFLAGS=-O0 B="$build/sim-clang-O0" "$clang_sim" >>"$scratch/make" 2>&1
    "$gcc_sim" --seeds 1..10 | grep ^hash= >"$scratch/gcc"
    "$clang_sim" --seeds 1..10 | grep ^hash= >"$scratch/clang"
    [ -s "$scratch/gcc" ] && cmp -s "$scratch/gcc" "$scratch/clang"
    verdict $? "$title ($(cat "$scratch/gcc"))"
    cmp -s "$scratch/gcc" "$scratch/clang" || diagnose "$scratch/make"
}

partition() { # shape acceptors
    local out=$scratch/partition
    "${sim[@]}" --scenario "$1:$2" --seeds "1..$partition_seeds" --minutes 0.4 --failures 3 >"$out" 2>&1
    local status=$? p99 most changes
    p99=$(thousandths "$out" p99)
    most=$(thousandths "$out" max)
    changes=$(sed -n 's/.*after it at most \([0-9]*\)$/\1/p' "$out")
    [ $status = 0 ] && [ "${p99:-99999}" -le 4000 ] && [ "${most:-99999}" -le 10000 ] &&
        [ "${changes:-9}" -le 2 ]
    status=$?
    verdict $status "$1, $2 acceptors, $partition_seeds seeds: $(sed -n 's/^recovery //p' "$out")"
    [ $status = 0 ] || diagnose "$out"
}

partitions() {
    local shape acceptors shapes=(quorum-loss constrained chained majority-ring bridge
        isolated-leader halves leader-to-acceptors acceptors-to-leader leader-no-learners)
    # Raft cannot elect who alone reaches a quorum but lacks entries, when who has them is gone.
    [ "$protocol" = paxos ] && shapes+=(constrained-alone)
    for shape in "${shapes[@]}"; do
        for acceptors in 3 5 7; do
            partition "$shape" "$acceptors"
        done
    done
}

# Storms and calms, in which each oracle has to come up to the same, and the partitions under each.
# In Raft mode an oracle only ranks and bars: one kind stands for all.
oracles() {
    local kind shape out=$scratch/oracle status kinds=(connected lease ring floodmax gossip succession
        static external)
    [ "$protocol" = raft ] && kinds=(connected)
    for kind in "${kinds[@]}"; do
        "${sim[@]}" --scenario "conformance:$kind" --seeds "1..$oracle_seeds" --minutes "$minutes" \
            --failures 3 >"$out" 2>&1
        status=$?
        verdict $status "oracle $kind, $oracle_seeds seeds: $(sed -n 's/^settled //p' "$out")"
        [ $status = 0 ] || diagnose "$out"
    done
    [ "$protocol" = raft ] && return
    for kind in "${kinds[@]:1}"; do
        local worst=0 p99
        status=0
        for shape in quorum-loss constrained constrained-alone chained majority-ring bridge \
            isolated-leader halves leader-to-acceptors acceptors-to-leader leader-no-learners; do
            "${sim[@]}" --scenario "$shape:5" --oracle "$kind" --seeds 1..3 --minutes 0.4 \
                >"$out" 2>&1 || {
                status=1
                echo "# $shape"
                diagnose "$out"
            }
            p99=$(thousandths "$out" p99)
            [ "${p99:-99999}" -le "$worst" ] || worst=${p99:-99999}
        done
        verdict $status "oracle $kind, each partition of 5 acceptors: recovers within $worst/1000 elections"
    done
}

# Each line of seeds.txt: scenario, with raft: before it in Raft mode, seed, minutes, a sentence.
kept() {
    local scenario seed length sentence out=$scratch/kept
    while read -r scenario seed length sentence; do
        case $scenario in
        '' | '#'*) continue ;;
        raft:*) [ "$protocol" = raft ] || continue ;;
        *) [ "$protocol" = paxos ] || continue ;;
        esac
        scenario=${scenario#raft:}
        "${sim[@]}" --scenario "$scenario" --seed "$seed" --minutes "$length" >"$out" 2>&1
        local status=$?
        verdict $status "$scenario $seed: $sentence"
        [ $status = 0 ] || diagnose "$out"
    done <tests/sim/seeds.txt
}

if [ ! -x "${sim[0]}" ]; then
    echo "1..0"
    echo "# ${sim[0]} was not built"
    exit 1
fi
swarm
recipes
oracles
speed
terminal
kept
partitions
compilers
echo "1..$count"
[ $failures = 0 ]
