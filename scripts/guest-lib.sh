#!/bin/sh
# shellcheck shell=dash
# What stands before the checks that run inside a guest, under busybox (guest-checks.sh, guest-trace.sh).

failed=0
# check WORDS EXPECTED ACTUAL
check() {
  if [ "$2" = "$3" ]; then echo "ok: $1: $3"; else
    echo "FAILED: $1: $3 instead of $2"
    failed=1
  fi
}
# Ends the guest's checks, with 1 if one of them failed.
finish() { exit $failed; }
