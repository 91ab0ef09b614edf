#!/bin/sh
# shellcheck disable=SC2086 # options are to be split
# Runs as root inside the guest with an emulated PMU (see test-emulated-pmu), under busybox. Before it stands
# recorded_instructions, the lines of instructions-per-op.tsv.
# What it changes, CPUs and perf_event_paranoid, is the guest's.

recorded_instructions=${recorded_instructions:-}
# Whether a text has these words: has WORDS TEXT
has() { case $2 in *"$1"*) echo yes ;; *) echo no ;; esac }

mkdir -p /etc
echo 'somebody:x:1000:1000::/tmp:/bin/sh' > /etc/passwd
short='--time 0.2 --repetitions 2 --no-save --quiet --no-progress --color never'
table='--no-save --quiet --no-progress --color never --wide --format csv'
# A column of a row of ctxprof's CSV on stdin: field ROW COLUMN
field() {
  awk -F, -v row="$1" -v column="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == column) at = i} $1 == row && at {print $at}'
}
# Whether an expression of numbers holds.
holds() { if awk "BEGIN {exit !($1)}"; then echo yes; else echo no; fi; }
# Whether a figure is near another, above 0: near SHARE FIGURE OTHER. (This awk has no powers.)
near() { holds "${3:-0} > 0 && ($2) - $3 <= $1 * $3 && $3 - ($2) <= $1 * $3"; }
# The guest with one CPU counts instructions, at one every 2 ns; the one with two has none.
if [ -e /sys/devices/system/cpu/cpu1 ]; then counts_instructions=no; else counts_instructions=yes; fi
mode_of() { sed -n 's/^    "mode": "\(.*\)",$/\1/p'; }
# shellcheck disable=SC2086 # these are options, to be split
rung_as_root() { ctxprof run thread-pipe $short --format json | mode_of; }
rung_as_somebody() { su -s /bin/sh -c "ctxprof run thread-pipe $short --format json" somebody | mode_of; }

echo "# every paranoid level gives exactly the rung that it allows"
for level in -1 0 1 2 3 4; do
  echo $level > /proc/sys/kernel/perf_event_paranoid
  case $level in
    -1 | 0) rung=cpu ;;
    1) rung=thread ;;
    *) rung=rusage ;;
  esac
  check "paranoid $level, uid 1000" $rung "$(rung_as_somebody)"
  check "paranoid $level, root" cpu "$(rung_as_root)"
  # Debian's kernels refuse everything to users from level 3 on.
  if [ $level -eq 2 ]; then
    document=$(su -s /bin/sh -c "ctxprof run thread-pipe $short --format json" somebody)
    check "paranoid $level, uid 1000: user-mode cycles are counted" yes "$(has '"name": "cycles:u"' "$document")"
    check "paranoid $level, uid 1000: the kernel's are not" no "$(has '"name": "cycles",' "$(echo "$document" | sed -n '/"counters": \[/,/\]/p')")"
  fi
  if [ $rung != cpu ]; then
    refusal=$(su -s /bin/sh -c "ctxprof run --counters cpu $short" somebody 2>&1)
    check "paranoid $level, uid 1000, --counters cpu: exit code" 1 $?
    check "paranoid $level, uid 1000, --counters cpu: the level is named" yes "$(has "perf_event_paranoid is $level" "$refusal")"
  fi
done

echo "# hardware cycles are chosen, and an emulated PMU is told apart"
# shellcheck disable=SC2086 # these are options, to be split
document=$(ctxprof run thread-pipe $short --format json)
check "cycles are counted" yes "$(has '"name": "cycles"' "$document")"
check "TSC ticks are not" no "$(has '"name": "msr/tsc/"' "$document")"
check "a PMU that ticks at 1 GHz is warned of" yes "$(has cycles-suspect "$document")"

# In how many samples of a file of raw ones the cycles of user and kernel are all cycles within 1 %: "N of M". The last three
# counts are those, all cycles last.
agreeing_samples() {
  tr -d ' \n' < "$1" | sed 's/"\(samples\|counted\|no_switch\|counts\)":\[/\n&/g' | awk -F'[][,]' '
    /^"samples"/ || /^"counted"/ {is_floor = 0}
    /^"no_switch"/ {is_floor = 1}
    /^"counts"/ && !is_floor {
      for (last = 2; $(last + 1) ~ /^([0-9]+|null)$/; last++);
      if (last < 5) next
      off = $(last - 2) + $(last - 1) - $last
      all++
      if ($last > 0 && off <= 0.01 * $last && -off <= 0.01 * $last) agreeing++
    }
    END {print agreeing + 0 " of " all + 0}'
}

# Cycles and instructions of one run, held to each other. Only a guest whose instructions take a fixed time can count them.
#
# In a guest without, the emulator brings its counters up to date in two threads, that of the guest's CPU at every change between
# user and kernel and that of its timers when one is to overflow, every 2 s, and they race: now and then one counter jumps by up to
# 2^31, the others not. So one sample in five may be off there, and samples are short. Where time is instructions there is one
# thread.
counting_checks() {
  echo "# cycles are those of user and kernel; instructions are exact or absent"
  # The counters are read one inside the other, 1000 instructions each here: in so many ops that is nothing.
  document=$(ctxprof run thread-pipe $short --format json)
  for workload in thread-pipe process-futex task-channel; do
    case $counts_instructions,$workload in
      yes,*) ops=5000 least=1 ;;
      no,task-channel) ops=20000 least=0.8 ;;
      *) ops=1000 least=0.8 ;;
    esac
    list=$(ctxprof run $workload --samples 10 --ops-per-sample $ops --repetitions 2 --samples-out /tmp/samples.json $table)
    cycles=$(echo "$list" | field $workload cycles_per_op)
    instructions=$(echo "$list" | field $workload instructions_per_op)
    # Ten of a repetition, and five in which switches are counted too.
    agreeing=$(agreeing_samples /tmp/samples.json)
    check "$workload: user + kernel = all cycles within 1 % in $agreeing samples, at least in $least of these" yes \
      "$(holds "${agreeing% of *} >= $least * 30 && ${agreeing#* of } == 30")"
    rm -f /tmp/samples.json
    if [ "$counts_instructions" = yes ]; then
      check "$workload: $cycles cycles = 2 x $instructions instructions within 0.2 %" yes "$(near 0.002 "2 * ${instructions:-0}" "$cycles")"
    else
      check "$workload: instructions are absent" "" "$instructions"
    fi
  done
  check "instructions are among the counters" $counts_instructions "$(has '"name": "instructions",' "$(echo "$document" | sed -n '/"results"/,$p')")"
  absent=yes
  [ "$counts_instructions" = no ] || absent=no
  check "instructions are said to be absent" $absent "$(has '"name": "instructions",' "$(echo "$document" | sed -n '/"absent": \[/,/\]/p')")"
}

# User-mode instructions per op of every workload's loop, held to what was recorded: they do not depend on what else this machine
# does. A guest's cycle is half an instruction, and only its user mode's are ctxprof's own doing.
instruction_gate() {
  echo "# user-mode instructions per op are at or under what was recorded"
  # No party starts or ends in these samples, so that what is not an op is the clock's reading and the calls around it.
  list=$(ctxprof run all --samples 20 --ops-per-sample 500 --repetitions 2 $table)
  for workload in $(echo "$list" | tail -n +2 | cut -d, -f1); do
    user=$(echo "$list" | field "$workload" user_cycles_per_op)
    counted=$(awk "BEGIN {printf \"%.3f\", ${user:-0} / 2}")
    recorded=$(echo "$recorded_instructions" | awk -v w="$workload" '$1 == w {print $2}')
    margin=$(echo "$recorded_instructions" | awk -v w="$workload" '$1 == w {print $3}')
    echo "instructions: $workload $counted"
    check "$workload: $counted instructions per op, at most ${recorded:-none recorded} and ${margin:-0} of it" yes "$(holds "$counted > 0 && $counted <= ${recorded:-0} * (1 + ${margin:-0})")"
  done
  for workload in $(echo "$recorded_instructions" | awk '!/^#/ {print $1}'); do
    check "$workload is measured here" yes "$(has "$workload," "$list")"
  done
}

counting_checks
# One CPU and a fixed time for every instruction: they repeat there.
if [ "$counts_instructions" = yes ]; then instruction_gate; fi

echo "# doctor knows this guest for what it is, at every level and as any user"
# What doctor says of a check: finding CHECK DOCUMENT
finding() {
  echo "$2" | awk -F'": "' -v id="$1" '/^      "id"/ {of = $2} /^      "(severity|found)"/ && of ~ "^" id "\"" {sub(/",?$/, "", $2); print $2}'
}
echo 2 > /proc/sys/kernel/perf_event_paranoid
document=$(ctxprof doctor --format json)
check "doctor as root: exit code" 0 $?
check "doctor as root: checks" 32 "$(echo "$document" | grep -c '^      "id": ')"
pmu=$(finding pmu "$document" | tr '\n' ' ')
check "doctor: the PMU is emulated: $pmu" yes "$(has 'warning emulated: cycles tick at' "$pmu")"
rate=$(echo "$pmu" | sed -n 's/.*tick at \([0-9.]*\) GHz.*/\1/p')
check "doctor: ${rate:-none} is 1 GHz within 1 %" yes "$(near 0.01 "${rate:-0}" 1)"
check "doctor as root: exempt from the level" yes "$(has 'ok level 2, from which this process is exempt' "$(finding perf-paranoid "$document" | tr '\n' ' ')")"
check "doctor: aarch64 has no TSC" yes "$(has 'ok aarch64 has none' "$(finding tsc "$document" | tr '\n' ' ')")"
check "doctor: no frequency scaling to be read" yes "$(has 'unknown no cpufreq' "$(finding frequency-scaling "$document" | tr '\n' ' ')")"
check "doctor: no Go" yes "$(has 'info no go' "$(finding go "$document" | tr '\n' ' ')")"
check "doctor: nothing is left unsaid" 0 "$(echo "$document" | grep -c '"found": ""')"
for level in -1 0 1 2 3 4; do
  echo $level > /proc/sys/kernel/perf_event_paranoid
  case $level in
    -1 | 0) level_is=ok events_are="ok events on CPU" pmu_is=emulated ;;
    1) level_is=warning events_are="warning events are allowed on own threads only" ;;
    2) level_is=warning events_are="warning events are allowed in user mode only" ;;
    # Debian's kernels refuse everything to users from level 3 on.
    *) level_is=warning events_are="serious events are refused altogether" pmu_is="unknown perf_event_open answered" ;;
  esac
  document=$(su -s /bin/sh -c "ctxprof doctor --format json" somebody)
  check "paranoid $level, uid 1000, doctor: the level" yes "$(has "$level_is level $level" "$(finding perf-paranoid "$document" | tr '\n' ' ')")"
  check "paranoid $level, uid 1000, doctor: events" yes "$(has "$events_are" "$(finding perf-events "$document" | tr '\n' ' ')")"
  pmu=$(finding pmu "$document" | tr '\n' ' ')
  check "paranoid $level, uid 1000, doctor: the PMU: $pmu" yes "$(has "$pmu_is" "$pmu")"
done

echo "# stat counts a program at every level, and asks perf only if it is to"
stat='stat --cost none --quiet --format json'
switches_of() { sed -n 's/^    "switches": \([0-9]*\),$/\1/p' | head -n 1; }
for level in 1 2; do
  code=0
  [ $level -eq 1 ] || code=125
  echo $level > /proc/sys/kernel/perf_event_paranoid
  document=$(su -s /bin/sh -c "ctxprof $stat -- sh -c 'sleep 0.1; sleep 0.1'" somebody 2>&1)
  check "paranoid $level, uid 1000, stat: some switches" yes "$([ "$(echo "$document" | switches_of)" -ge 2 ] && echo yes)"
  check "paranoid $level, uid 1000, stat: no exit records" yes "$(has '"exit_records": false' "$document")"
  su -s /bin/sh -c "ctxprof $stat --counters thread -- true" somebody > /tmp/words 2>&1
  check "paranoid $level, uid 1000, stat --counters thread: exit code" "$code" $?
done
# shellcheck disable=SC2086,SC2016 # these are options, to be split; the inner shell is to expand what is quoted
document=$(ctxprof $stat --counters thread -- sh -c 'i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); done' 2>&1)
check "stat --counters thread: cycles are counted" yes "$(has '"name": "cycles"' "$document")"
check "stat --counters thread: a PMU that ticks at 1 GHz is warned of" yes "$(has 'emulated PMU' "$document")"

if [ -e /sys/devices/system/cpu/cpu1/online ]; then
  echo "# an offline CPU is refused"
  echo 0 > /sys/devices/system/cpu/cpu1/online
  refusal=$(ctxprof run --cpu 1 2>&1)
  check "--cpu 1: exit code" 1 $?
  check "--cpu 1: the reason" yes "$(has 'CPU 1 is offline' "$refusal")"
  echo 1 > /sys/devices/system/cpu/cpu1/online

  echo "# a CPU that goes offline in the middle ends the run, which keeps its earlier rows and leaves nothing running"
  for place in '--cpu 1' '--place 0,1'; do
    # The first workload is through with its repetition when the second's CPU goes.
    # shellcheck disable=SC2086 # these are options, to be split
    ctxprof run thread-futex process-pipe $place --repetitions 1 --time 6 --no-save --quiet > /tmp/report 2> /tmp/words &
    run=$!
    sleep 9
    echo 0 > /sys/devices/system/cpu/cpu1/online
    wait $run
    check "$place: exit code" 1 $?
    check "$place: the reason" yes "$(has 'CPU 1 went offline in the middle' "$(cat /tmp/words)")"
    check "$place: the earlier row" yes "$(has thread-futex "$(cat /tmp/report)")"
    check "$place: the report says that it is not whole" yes "$(has 'ended by an error' "$(cat /tmp/report)")"
    check "$place: processes left" 0 "$(pidof ctxprof | wc -w)"
    echo 1 > /sys/devices/system/cpu/cpu1/online
  done

  echo "# placements are those of the guest's topology"
  # shellcheck disable=SC2086 # these are options, to be split
  document=$(ctxprof run thread-pipe --place all $short --format json)
  check "--place all: more than one" yes "$([ "$(echo "$document" | grep -c '"placement": "')" -gt 1 ] && echo yes)"
fi

echo "# wake-ups are counted where tracefs is mounted, and absent with the command where it is not"
# shellcheck disable=SC2086 # these are options, to be split
document=$(ctxprof run thread-pipe $short --format json)
if [ -e /sys/kernel/tracing/events ]; then check "wake-ups" yes "$(has '"name": "sched:sched_waking"' "$document")"; else
  check "no tracefs: what would help" yes "$(has 'mount -t tracefs' "$document")"
  if mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null; then
    # shellcheck disable=SC2086 # these are options, to be split
    document=$(ctxprof run thread-pipe $short --format json)
    check "wake-ups" yes "$(has '"name": "sched:sched_waking"' "$document")"
  fi
fi
finish
