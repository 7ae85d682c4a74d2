#!/usr/bin/env bash
# Runs the tests of all layers, or of those named as arguments, and ends with one line
# "N passed, N failed". How a test joins in is described in tests/README.md.
#
# Environment: BUILD (default build), CC and SAN (handed on), JOBS (programs at a time; default: one
# for each processor), VERBOSE=1 (every test by name).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

export BUILD=${BUILD:-build}
export CC=${CC:-gcc} SAN=${SAN:-}
export CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp ${TSAN_OPTIONS:-}"
jobs_max=${JOBS:-$(nproc 2>/dev/null || echo 2)}
slower=1
if [ -n "$SAN" ]; then
    slower=4 # sanitizers cost that much
fi
program_seconds=$((60 * slower))
script_seconds=$((600 * slower))

scratch=$(mktemp -d "${TMPDIR:-/tmp}/synod.XXXXXX") || exit 1
trap 'stop_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stop_all() {
    local pid
    for pid in $(jobs -p); do
        kill "$pid" 2>/dev/null
    done
    wait
}

# Layers run in this order, what is quick and basic first; one that is not named here comes after.
# bench measures and proves nothing, so it is no layer.
layers() {
    local known="lint unit trace sim fuzz" last="process" dir name
    for name in $known; do
        [ -d "tests/$name" ] && echo "$name"
    done
    for dir in tests/*/; do
        name=$(basename "$dir")
        case " $known $last bench " in
        *" $name "*) ;;
        *) echo "$name" ;;
        esac
    done
    [ -d "tests/$last" ] && echo "$last"
}

# The programs of a layer, one a line: "name command".
programs() {
    local layer=$1 source name
    for source in tests/"$layer"/test_*.c tests/"$layer"/fuzz_*.c; do
        [ -e "$source" ] || continue
        name=${source#tests/}
        name=${name%.c}
        echo "$name $BUILD/tests/$name"
    done
    for source in tests/"$layer"/run.sh tests/"$layer"/run_*.sh; do
        [ -x "$source" ] && echo "${source#tests/} $source"
    done
}

# What a program proves: the first sentence of the comment that its source opens with.
purpose() {
    local name=$1 source=tests/$1
    [ -e "$source" ] || source=tests/$name.c
    awk '
        NR == 1 && /^#!/ { next }
        /^(#|\/\*| \*|\/\/)/ {
            sub(/^(#+|\/\*+| \*+|\/\/+)[ ]?/, ""); sub(/\*\/.*$/, "")
            text = text (text == "" ? "" : " ") $0
            if (match(text, /\.( |$)/)) { print substr(text, 1, RSTART - 1); exit }
            next
        }
        { exit }' "$source"
}

# Counts the TAP lines of an output. Prints "passed failed skipped planned"; planned is "none"
# without a plan. A program may hold several groups, each with its plan.
count_tap() {
    awk '
        /^1\.\.[0-9]+/ { planned += substr($1, 4); has_plan = 1; next }
        /^(not )?ok [0-9]+.*# SKIP/ { skipped++; next }
        /^ok [0-9]+/ { passed++; next }
        /^not ok [0-9]+/ { failed++; next }
        END { print passed + 0, failed + 0, skipped + 0, has_plan ? planned : "none" }' "$1"
}

# Runs one program and leaves output, status and seconds in files of its own. Its TMPDIR is short,
# because the path of a socket may have 107 bytes and no more.
run_one() {
    local name=$1 program=$2 seconds=$3 own_tmp=$scratch/$4 place=$scratch/${1//\//-}
    mkdir -p "$place" "$own_tmp"
    local begin=$EPOCHREALTIME
    if [ -x "$program" ]; then
        TMPDIR=$own_tmp timeout --kill-after=10 "$seconds" "$program" \
            >"$place/out" 2>"$place/err" </dev/null &
        local pid=$!
        trap 'kill '$pid' 2>/dev/null; wait '$pid'; exit 143' TERM INT
        wait "$pid" 2>/dev/null
        echo $? >"$place/status"
    else
        echo "$program was not built" >"$place/err"
        : >"$place/out"
        echo 127 >"$place/status"
    fi
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", b - a }' >"$place/seconds"
}

# Keeps what failed for the end of the output: of a long run often only that is looked at, or kept.
note_failures() {
    local name=$1 output=$2 wrong=$3
    [ -n "$wrong" ] && echo "$name $wrong" >>"$scratch/failures"
    # The diagnostics of a test stand behind it, as lines of "# ...".
    awk -v name="$name" '
        /^not ok / && !/# SKIP/ { print name ": " $0; shown = 6; next }
        /^#/ && shown > 0 { print "    " $0; shown--; next }
        { shown = 0 }' "$output" >>"$scratch/failures"
}

# Prints the verdict on one program and adds it to the layer's and the total counts.
report() {
    local name=$1 seconds=$2 place=$scratch/${1//\//-}
    local status passed failed skipped planned wrong=
    status=$(cat "$place/status" 2>/dev/null || echo 255)
    read -r passed failed skipped planned < <(count_tap "$place/out")

    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        wrong="timed out after $seconds s, or was killed"
    elif [ "$status" -gt 128 ]; then
        wrong="ended by signal $((status - 128))"
    elif [ "$status" = 127 ] && [ "$planned" = none ]; then
        wrong="could not be started"
    elif [ "$planned" = none ]; then
        wrong="printed no plan (1..N), exit status $status"
    elif [ "$planned" != $((passed + failed + skipped)) ]; then
        wrong="planned $planned tests but reported $((passed + failed + skipped)), exit status $status"
    elif [ "$status" != 0 ] && [ "$failed" = 0 ]; then
        wrong="exit status $status, though no test failed"
    elif [ "$planned" = 0 ]; then
        wrong="holds no test"
    fi
    [ -n "$wrong" ] && failed=$((failed + 1))

    printf '  %-28s %4d passed' "$name" "$passed"
    [ "$skipped" -gt 0 ] && printf ', %d skipped' "$skipped"
    [ "$failed" -gt 0 ] && printf ', %d FAILED' "$failed"
    printf '  %5s s  %s\n' "$(cat "$place/seconds" 2>/dev/null)" "$(purpose "$name")"
    if [ "${VERBOSE:-}" = 1 ]; then
        grep -E '^(not )?ok ' "$place/out" | sed 's/^/      /'
    else
        grep -E '# SKIP' "$place/out" | sed 's/^not //; s/^/      /'
    fi
    if [ "$failed" -gt 0 ]; then
        [ -n "$wrong" ] && echo "    FAILED: $name $wrong"
        echo "    its output:"
        { grep -vE '^ok ' "$place/out"; cat "$place/err"; } | tail -n 120 | sed 's/^/    | /'
        note_failures "$name" "$place/out" "$wrong"
    fi
    layer_passed=$((layer_passed + passed))
    layer_failed=$((layer_failed + failed))
    layer_skipped=$((layer_skipped + skipped))
}

total_passed=0 total_failed=0 total_skipped=0 program_number=0
if [ $# -eq 0 ]; then
    mapfile -t chosen < <(layers)
else
    chosen=("$@")
fi
for layer in "${chosen[@]}"; do
    mapfile -t list < <(programs "$layer")
    if [ ${#list[@]} -eq 0 ]; then
        if [ $# -gt 0 ]; then
            echo "error: no test in layer \"$layer\" (tests/$layer has neither test_*.c nor run.sh);" \
                "try: one of" $(layers) >&2
            total_failed=$((total_failed + 1))
        fi
        continue
    fi
    echo "$layer"
    # Process tests measure time and so run one at a time.
    at_once=$jobs_max
    [ "$layer" = process ] && at_once=1
    for entry in "${list[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do
            wait -n
        done
        case $entry in *.sh) limit=$script_seconds ;; *) limit=$program_seconds ;; esac
        program_number=$((program_number + 1))
        run_one "${entry% *}" "${entry#* }" "$limit" "$program_number" &
    done
    wait
    layer_passed=0 layer_failed=0 layer_skipped=0
    for entry in "${list[@]}"; do
        case $entry in *.sh) limit=$script_seconds ;; *) limit=$program_seconds ;; esac
        report "${entry% *}" "$limit"
    done
    total_passed=$((total_passed + layer_passed))
    total_failed=$((total_failed + layer_failed))
    total_skipped=$((total_skipped + layer_skipped))
done

echo
if [ "$total_passed" -eq 0 ] && [ "$total_failed" -eq 0 ]; then
    echo "error: no test was run" >&2
    total_failed=1
fi
if [ -s "$scratch/failures" ]; then
    echo "failed:"
    sed 's/^/  /' "$scratch/failures"
    echo
fi
closing="$total_passed passed, $total_failed failed"
[ "$total_skipped" -gt 0 ] && closing="$closing, $total_skipped skipped"
echo "$closing"
[ "$total_failed" -eq 0 ]
