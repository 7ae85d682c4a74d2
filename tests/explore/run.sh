#!/usr/bin/env bash
# Every reachable state of two proposers, three acceptors and two slots keeps the rules of Paxos; and
# with a bug put into a core the shortest way to a broken rule is found. With --full all scopes are
# explored, which takes minutes; with names, those.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

build=${BUILD:-build}
cc=${CC:-gcc}
san=${SAN:+-fsanitize=$SAN}
tool=$build/tests/explore/tool_explore
scratch=$(mktemp -d "${TMPDIR:-/tmp}/explore.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

if "$tool" --list | grep '# SKIP'; then
    echo 1..1
    exit 0
fi

# What `make test` explores. A sanitizer sees each line of the cores in the first scope already.
states_min=5000000
scopes=(duel command-late repair-crash acceptors-crash)
if [ -n "$san" ]; then
    states_min=400000
    scopes=(duel)
fi
if [ "${1:-}" = --full ]; then
    mapfile -t scopes < <("$tool" --list)
elif [ $# -gt 0 ]; then
    scopes=("$@")
    states_min=1
fi

# A bug of common/base/mutant.h, the scope that is wide enough for it, and the rule that breaks.
mutants=(
    "promise_before_sync duel left before it was durable"
    "accepted_before_sync duel left before its vote was durable"
    "one_acceptor_suffices duel chosen by quorum"
    "acceptor_counted_twice duel chosen by quorum"
    "commands_before_recovery duel safe"
    "equal_ballot_promised duel check of a core failed"
    "watermark_for_vote_not_durable repair-crash left before its vote was durable"
    "commit_marks_other_ballots command-late chosen by quorum"
)

number=0
failed=0
verdict() {
    number=$((number + 1))
    [ "$1" = ok ] || failed=1
    echo "$1 $number - $2"
}

explored=0
for scope in "${scopes[@]}"; do
    "$tool" "$scope" >"$scratch/out"
    grep '^#' "$scratch/out"
    line=$(grep -E '^(not )?ok ' "$scratch/out") || line="not ok 1 - $scope: ended without a verdict"
    states=$(echo "$line" | sed -n 's/.*: \([0-9]*\) states.*/\1/p')
    explored=$((explored + ${states:-0}))
    verdict "${line%% [0-9]*}" "${line#*- }"
done
if [ "$explored" -ge "$states_min" ]; then
    verdict ok "$explored states, at least $states_min"
else
    verdict "not ok" "$explored states, at least $states_min expected"
fi

# The reductions of README.md hide nothing: without them the cores reach the same combinations.
combinations() {
    "$tool" "$@" | sed -n 's/^# \([0-9]*\) combinations.*/\1/p'
}
if [ -z "$san" ]; then
    reduced=$(combinations duel)
    plain=$(combinations --plain duel)
    if [ -n "$plain" ] && [ "$plain" = "$reduced" ]; then
        verdict ok "duel has $plain combinations of cores, with and without reductions"
    else
        verdict "not ok" "duel has $reduced combinations of cores, without reductions $plain"
    fi
fi

# Builds the sources that know the bug with it, and links them before the archive of cores.
build_mutant() {
    local name=$1 source objects=()
    for source in $(grep -l "MUTANT($name)" acceptor/*.c proposer/*.c common/protocol/*.c); do
        objects+=("$scratch/$name-$(basename "$source").o")
        # shellcheck disable=SC2086
        $cc -std=c11 -O1 $san -I. -DSYNOD_MUTANT="$name" -c -o "${objects[-1]}" "$source" || return 1
    done
    [ ${#objects[@]} -gt 0 ] || return 1
    # shellcheck disable=SC2086
    $cc $san -o "$scratch/$name" "$build"/obj/tests/explore/*.o "${objects[@]}" \
        "$build/libcores.a" "$build/libsystem.a" "$build/libcores.a" -lmsgpackc -lxxhash
}

for entry in "${mutants[@]}"; do
    read -r name scope rule <<<"$entry"
    if ! build_mutant "$name" 2>"$scratch/err"; then
        sed 's/^/# /' "$scratch/err"
        verdict "not ok" "the bug $name can be built"
        continue
    fi
    "$scratch/$name" "$scope" >"$scratch/out"
    if grep -q "^# scope $scope: .*$rule" "$scratch/out"; then
        verdict ok "the bug $name breaks a rule in $(grep -cE '^# +[0-9]+\. ' "$scratch/out") choices"
        [ "${VERBOSE:-}" = 1 ] && sed -n '/^# scope/,/^[^#]/{/^#/p}' "$scratch/out"
    else
        sed 's/^/# /' "$scratch/out"
        verdict "not ok" "the bug $name breaks a rule: $rule"
    fi
done
echo "1..$number"
exit $failed
