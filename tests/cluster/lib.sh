# Reporting, waiting and processes, for run.sh and its checks.
# shellcheck shell=bash disable=SC2034,SC2154 # the variables are those of run.sh too

passed=0 failed=0

# Runs FUNCTION in a subshell. What it prints last is the figure when it succeeds, all of it the reason when it fails.
check() { # NAME FUNCTION [ARGUMENT...]
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        output=$(tail -n 1 <<< "$output")
        echo "ok $name${output:+ ($output)}"
    else
        failed=$((failed + 1))
        echo "FAILED $name: ${output:-no reason was given}"
    fi
}

# Ends a check.
fail() {
    echo "$*"
    exit 1
}

skip() {
    echo "SKIPPED $*"
    exit 77
}

# Microseconds since 1970.
micros() { echo "${EPOCHREALTIME/./}"; }

wait_until() { # SECONDS CMD...
    local end=$(($(micros) + $1 * 1000000))
    shift
    until "$@"; do
        [ "$(micros)" -lt "$end" ] || return 1
        sleep 0.02
    done
}

# Puts the time before each line.
stamp() {
    local line
    while IFS= read -r line; do printf '%s %s\n' "$EPOCHREALTIME" "$line"; done
}

# From numbers, one a line, to "p50 1.2, p99 3.4, most 5.6".
spread() {
    sort -n | awk '{ v[NR] = $1 } END {
        if (NR == 0) { print "no values"; exit }
        half = int((NR + 1) / 2); high = int(NR * 0.99 + 0.999999); if (high > NR) high = NR
        printf "p50 %.1f ms, p99 %.1f ms, most %.1f ms of %d", v[half], v[high], v[NR], NR }'
}

# The largest of numbers, rounded up.
most() { sort -n | tail -n 1 | awk '{ print int($1 + 0.999999) }'; }

# The text of a field in one line of JSON.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

differ() { # WHAT EXPECTED ACTUAL
    [ "$2" != "$3" ] || return 0
    printf '%s differs:\n' "$1"
    diff <(echo "$2") <(echo "$3") | head -n 20
    exit 1
}

# --------------------------------------------------------------------------------------------------------------- processes
# What was started is kept with its start time, so that a recycled pid is never ended.
started() { sed 's/^.*) //' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20; }
track() { echo "$1 $(started "$1")" >> "$work/pids"; }
is_over() { ! [ -e "/proc/$1" ] || grep -q '^State:.*[ZX]' "/proc/$1/status" 2> /dev/null; }
end_tracked() {
    local pid when signal
    [ -e "$work/pids" ] || return 0
    for signal in TERM KILL; do
        while read -r pid when; do
            [ -z "$when" ] || [ "$(started "$pid")" != "$when" ] || kill "-$signal" "$pid" 2> /dev/null || true
        done < "$work/pids"
        ! wait_until 5 all_over || return 0
    done
}
all_over() {
    local pid when
    while read -r pid when; do
        [ -z "$when" ] || [ "$(started "$pid")" != "$when" ] || is_over "$pid" || return 1
    done < "$work/pids"
}
memory() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"; } # PID VmRSS|VmHWM: kilobytes

# --------------------------------------------------------------------------------------------------------------- audit log
audit_lines() { # STAGE TEXT...: what the API server noted
    local stage=$1 text lines
    shift
    lines=$(grep -F "\"stage\":\"$stage\"" "$work/bed/log/audit.json" || true)
    for text in "$@"; do lines=$(grep -F -- "$text" <<< "$lines" || true); done
    [ -z "$lines" ] || echo "$lines"
}
audit_count() { audit_lines "$@" | wc -l; }
audit_reaches() { # COUNT STAGE TEXT...
    local count=$1
    shift
    [ "$(audit_count "$@")" -ge "$count" ]
}
audit_micros() { date -u -d "$(field stageTimestamp)" +%s%6N; }
