# Sourced by what runs one step after another. Where TEST_LEDGER names a file, each step's begin and end are appended
# to it, in seconds since 1970, for the ledger that `make test` prints (tests/ledger.py).
# shellcheck shell=sh

# step COMMAND…: show it, run it, note how long it took
step() {
    printf '\n== %s\n' "$*"
    timed "$*" "$@"
}

# timed NAME COMMAND…: run it, note under that name how long it took
timed() {
    step_name=$1
    shift
    step_began=$(date +%s.%N)
    "$@" || return
    [ -z "${TEST_LEDGER-}" ] ||
        printf 'step\t%s\t%s\t%s\n' "$step_began" "$(date +%s.%N)" "$step_name" >> "$TEST_LEDGER"
}
