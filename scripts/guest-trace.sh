#!/bin/sh
# shellcheck shell=dash
# Runs as root inside a guest with another kernel (see vm-kernels), under busybox: `ctxprof trace` is held there to what programs do
# and to the kernel's own accounting. Before it stands `preemption`, the model that the kernel was booted with, or nothing.
# What it mounts is the guest's.

preemption=${preemption:-}
holds() { if [ "$1" -eq 1 ]; then echo yes; else echo no; fi; }

echo "# $(uname -r), $(uname -m)"
mount -t debugfs none /sys/kernel/debug 2> /dev/null
if [ -n "$preemption" ]; then
  check "the kernel's preemption" "$preemption" "$(sed 's/.*(\(.*\)).*/\1/' /sys/kernel/debug/sched/preempt)"
fi

document=/tmp/trace.json
# Traces a program: traced NAME PROGRAM...
traced() {
  local name="$1" code=0
  shift
  rm -f $document
  ctxprof trace --no-cost --quiet -o $document -- "$@" > /tmp/words 2>&1 || code=$?
  check "$name: exit code" 0 $code
  [ $code -eq 0 ] || cat /tmp/words
}
# The first figure of this name after the totals' beginning.
total() { sed -n '/^  "totals"/,/^  }/p' $document | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | head -n 1; }
tracing() { sed -n '/^  "tracing"/,/^  }/p' $document | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | head -n 1; }
# "SWITCHES REASON", a line each, of the thread "subject".
subjects_reasons() {
  awk '/^      "thread": / {is_it = /"subject"/}
    is_it && /^      "reasons": \{/ {within = 1; next}
    within && /^      \}/ {exit}
    within {match($0, /".*"/); reason = substr($0, RSTART + 1, RLENGTH - 2); sub(/.*: /, ""); sub(/,/, ""); print $0, reason}' $document
}
# Whether switches and run-queue waits of the last program are the kernel's: accounted NAME [MISSING], of which so many may be missing.
accounted() {
  local kernel threads seen
  kernel=$(($(total voluntary_switches) + $(total involuntary_switches)))
  threads=$(total threads)
  seen=$(total switches)
  if [ "${2:-0}" -gt 0 ]; then
    check "$1: $seen switches, of $kernel in the kernel's accounting at most $2 missing" yes "$(holds $((seen <= kernel && kernel - seen <= $2)))"
  else
    check "$1: switches, of $kernel in the kernel's accounting" $kernel "$seen"
    check "$1: threads that are not the kernel's, of $threads" 0 "$(total differing_threads)"
  fi
  check "$1: threads without an end" 0 $((threads - $(total ended_threads)))
  check "$1: records lost, threads not followed" "0 0" "$(tracing records_lost) $(tracing threads_not_followed)"
}

# The subject leaves the CPU twenty times, and now and then for a lock of its process. Who is woken before it sleeps, or preempted on the
# way there, left for that reason; whose timer ends before it sleeps need not leave at all. Whether another thread runs when one
# yields is the scheduler's to decide: of many yields, which go on for longer than a time slice, some are seen.
reasons() {
  local way least expected found others early
  while read -r way least expected; do
    traced "$1$way" leaver "$way"
    found=$(subjects_reasons | sed -n "s/^\([0-9]*\) $expected\$/\1/p")
    early=$(subjects_reasons | awk '/^[0-9]+ (woken before it slept|preempted)/ {sum += $1} END {print sum + 0}')
    check "$1$way: ${found:-no} times \"$expected\", $early times not asleep yet, of at least $least" yes \
      "$(holds $((${found:-0} >= 10 && ${found:-0} + early >= least)))"
    others=$(subjects_reasons | grep -v -E "^([0-9]+ ($expected|exit|preempted.*|woken before it slept|kernel wait.*|page fault, disk|memory shortage|disk.*)|[1-3] futex)\$")
    check "$1$way: other reasons" "" "$others"
    accounted "$1$way"
  done << 'END'
futex 20 futex
sleep 12 sleep
epoll 20 epoll
poll 20 poll
pipe 20 read pipe
END
  traced "$1yield" switcher yield 20000
  found=$(sed -n '/"reason": "yield"/{n; s/.*: \([0-9]*\).*/\1/p}' $document)
  check "$1yield: at least 20 times \"yield\": ${found:-none}" yes "$(holds $((${found:-0} >= 20)))"
  accounted "$1yield"
}

# Counts of many threads and processes: counts WHERE
counts() {
  local program
  for program in 'pipe 2000' 'threads 200' 'many-threads 50' 'children 50' 'exec 5'; do
    # shellcheck disable=SC2086 # a program's words
    traced "$1switcher $program" switcher $program
    case $program in
      # A thread that takes its process's number over is not known by the old one any more, nor yet by the new.
      exec*) accounted "$1switcher $program" 2 ;;
      *) accounted "$1switcher $program" ;;
    esac
  done
}

echo "# reasons and counts"
reasons ''
counts ''

echo "# beside another user of task-local storage"
bpf_user task-storage /task_storage.bpf.o > /tmp/storage 2>&1 &
storage=$!
tries=0
until grep -q -s counted /tmp/storage || [ $tries -ge 100 ]; do sleep 1; tries=$((tries + 1)); done
check "the other user counts switches" 1 "$(grep -c -m 1 counted /tmp/storage)"
reasons 'beside it, '
counts 'beside it, '
kill $storage
wait $storage 2> /dev/null
echo "the other user: $(tail -n 1 /tmp/storage)"

# Waits until these BPF programs are loaded, and no others: until_loaded NAMES
until_loaded() {
  local tries=0
  until [ "$(loaded)" = "$1" ] || [ $tries -ge 60 ]; do
    sleep 1
    tries=$((tries + 1))
  done
}
loaded() { bpf_user programs | cut -d' ' -f2 | sort | tr '\n' ' '; }

echo "# of a killed tracer nothing stays"
until_loaded ''
check "programs before" "" "$(loaded)"
ctxprof trace --no-cost --quiet -- sleep 1000 > /dev/null 2>&1 &
tracer=$!
own='on_exec on_free on_new on_switch on_waking '
# It begins when all is attached, and ends with a tracer that is killed before.
tries=0
until pidof sleep > /dev/null || [ $tries -ge 1000 ]; do tries=$((tries + 1)); done
check "its programs" "$own" "$(loaded)"
kill -9 $tracer
wait $tracer 2> /dev/null
until_loaded ''
check "programs left" "" "$(loaded)"
check "programs that go on" 1 "$(pidof sleep | wc -w)"
kill "$(pidof sleep)"
finish
