# What several scripts need; to be sourced.
# shellcheck shell=bash

# The oldest cargo that builds ctxprof, as in Cargo.toml.
readonly MINIMAL_CARGO=1.85

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Whether $1 is a version, and at least $2.
at_least() { [[ $1 == [0-9]* ]] && [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# apt-get as root, without questions; it waits for whoever else installs something.
apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }

# Makes a folder with a state of apt's own, so that packages of other releases and machines are fetched and none is installed. The
# sources go into FOLDER/parts, and APT_CONFIG is FOLDER/apt.conf: private_apt FOLDER ARCHITECTURE...
private_apt() {
  local folder=$1
  shift
  rm -rf "$folder"
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,parts,prefs}
  : > "$folder/status"
  cat > "$folder/apt.conf" << END
Dir::State "$folder"; Dir::State::Lists "$folder/lists"; Dir::State::status "$folder/status";
Dir::Cache "$folder/cache"; Dir::Cache::archives "$folder/cache/archives"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "$folder/parts"; Dir::Etc::preferencesparts "$folder/prefs";
APT::Architecture "$1"; APT::Architectures { $(printf '"%s"; ' "$@")}; APT::Sandbox::User "root"; Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END
}

# Unpacks the packages of the current folder, of a kernel's only the kernel: unpack_packages TO
unpack_packages() {
  local package
  for package in *.deb; do
    case $package in
      linux-image*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1" --wildcards './boot/vmlinuz-*' ;;
      *) dpkg-deb -x "$package" "$1" ;;
    esac
  done
}

# Gets the lists of packages, once. A machine that has just started gets them by itself, and that lock apt does not wait for.
refresh_packages() {
  local said try
  [ -z "${refreshed:-}" ] || return 0
  for ((try = 1; ; try++)); do
    if said=$(apt_get update 2>&1); then break; fi
    [[ $said == *" lock "* && $try -lt 24 ]] || die "apt-get update failed: $said"
    [ "$try" -gt 1 ] || say "waiting for another apt to be done"
    sleep 5
  done
  refreshed=yes
}

# Installs Debian's or Ubuntu's packages, those missing of them.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -q '^installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || die "please install: ${missing[*]} (no apt-get here to do it)"
  refresh_packages
  say "installing ${missing[*]}"
  apt_get -y install --no-install-recommends "${missing[@]}" > /dev/null
}

# Puts a program on PATH that Debian or Ubuntu have in one of these packages, depending on the release, without installing the
# package, which would start a service for all to reach: program_of PROGRAM PACKAGE... Unpacked beside the build, once.
program_of() {
  local program=$1 folder
  shift
  command -v "$program" > /dev/null && return 0
  folder=${CARGO_TARGET_DIR:-$PWD/target}/unpacked/$program
  if [ ! -x "$folder/usr/bin/$program" ]; then
    command -v apt-get > /dev/null || die "please install $program (no apt-get here to fetch it)"
    unpack_program "$folder" "$program" "$@" || {
      refresh_packages
      unpack_program "$folder" "$program" "$@" || die "no $program in a package that apt-get can download: $*"
    }
  fi
  PATH=$PATH:$folder/usr/bin
}

# Unpacks the first of these packages that has the program: unpack_program FOLDER PROGRAM PACKAGE...
unpack_program() {
  local folder=$1 program=$2 package
  shift 2
  for package in "$@"; do
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && apt-get -qq download "$package") 2> /dev/null || continue
    say "unpacking $package for its $program"
    dpkg-deb -x "$folder/${package}"_*.deb "$folder"
    rm "$folder/${package}"_*.deb
    [ ! -x "$folder/usr/bin/$program" ] || return 0
  done
  return 1
}

# Makes a bare Debian 13 in a folder, with these packages besides: bare_debian FOLDER PACKAGE... As root. Its cargo trusts whom this
# machine trusts, since a network may put a certificate authority of its own between us and crates.io.
bare_debian() {
  local folder=$1
  shift
  install_packages mmdebstrap ca-certificates
  mmdebstrap --quiet --variant=minbase "${@/#/--include=}" trixie "$folder"
  install -D -m 644 "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$folder/etc/ssl/host-certificates.crt"
  mkdir -p "$folder/root/.cargo"
  printf '[http]\ncainfo = "/etc/ssl/host-certificates.crt"\n' > "$folder/root/.cargo/config.toml"
}

# A port that nobody answers on.
free_port() {
  local port
  while port=$((RANDOM % 20000 + 20000)); (: > "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do :; done
  echo "$port"
}

cargo_version() { cargo --version 2> /dev/null | awk '{print $2}'; }

# The packages of a cargo that is new enough, where the system has one: its own, one with the version in its name (Ubuntu's, of
# which the oldest is nearest to what is tested), or the one that Debian 12 keeps for its browsers.
cargo_packages() {
  local package candidate
  for package in cargo $(apt-cache pkgnames cargo-1. | sort -V) cargo-web; do
    candidate=$(apt-cache policy "$package" | awk '$1 == "Candidate:" {print $2}')
    case $package in cargo-1.*) candidate=${package#cargo-} ;; esac
    if at_least "$candidate" "$MINIMAL_CARGO"; then
      echo "$package ${package/cargo/rustc}"
      return
    fi
  done
}

# Puts a cargo that is new enough on PATH: the one that is there, rustup's of this or the invoking user, or a package.
ensure_cargo() {
  local home packages folder
  home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
  # Ubuntu's with the version in its name is in a folder of its own.
  for folder in /usr/lib/rust-1.*/bin "$home/.cargo/bin"; do
    if [ -x "$folder/cargo" ]; then PATH=$folder:$PATH; fi
  done
  if ! at_least "$(cargo_version)" "$MINIMAL_CARGO" && command -v apt-get > /dev/null; then
    install_packages gcc libc6-dev ca-certificates
    refresh_packages
    read -ra packages <<< "$(cargo_packages)"
    if [ ${#packages[@]} -gt 0 ]; then
      install_packages "${packages[@]}"
      PATH=/usr/lib/rust-${packages[0]#cargo-}/bin:$PATH
    fi
  fi
  at_least "$(cargo_version)" "$MINIMAL_CARGO" ||
    die "cargo $MINIMAL_CARGO or newer is needed, here is $(cargo_version | grep . || echo none); see https://rustup.rs"
  command -v cc > /dev/null || install_packages gcc libc6-dev
}

# Has rustup get its nightly toolchain, if it is not there: ensure_nightly WHAT-IT-IS-FOR
ensure_nightly() {
  command -v rustup > /dev/null || die "$1 takes rustup and its nightly toolchain; see https://rustup.rs"
  rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
}

readonly CARGO_DENY=0.20.2
cargo_deny_folder() { echo "${CARGO_TARGET_DIR:-$PWD/target}/tools/cargo-deny-$CARGO_DENY"; }

# Builds cargo-deny once beside the build, into bin below its folder: a minute and a half of CPU time without optimization. It takes
# a newer cargo than ctxprof does; fails where that is not here, and says so.
cargo_deny() {
  local version=$CARGO_DENY cargo=1.88 folder
  folder=$(cargo_deny_folder)
  [ -x "$folder/bin/cargo-deny" ] && return 0
  at_least "$(cargo_version)" "$cargo" || {
    say "not checked: cargo-deny $version takes cargo $cargo, here is $(cargo_version)"
    return 1
  }
  say "building cargo-deny (once)"
  cargo install --quiet --locked --debug --no-default-features --root "$folder" --target-dir "$folder/build" "cargo-deny@$version" &&
    rm -rf "$folder/build"
}

# ---- for the tests ----------------------------------------------------------------------------------------------

# Where cargo builds.
target_folder() { echo "${CARGO_TARGET_DIR:-$PWD/target}"; }

# Builds what runs the tests: unit tests, the programs that tests start, and the black-box tests, all in one profile without
# optimization.
build_tests() {
  cargo test --locked --quiet --no-run --lib --test it
  cargo build --locked --quiet --examples
}

# Says what the black-box tests drive: test_binary PROFILE
test_binary() {
  local folder=$1
  CTXPROF_TEST_BINARY=$(target_folder)/$folder/ctxprof
  CTXPROF_TEST_EXAMPLES=$(target_folder)/debug/examples
  export CTXPROF_TEST_BINARY CTXPROF_TEST_EXAMPLES
}

# Runs the black-box tests: those that measure nothing several at a time, then those that hold figures to something one by one.
# Most of the former wait, for a program that runs or for a watchdog: there may be more of them than CPUs.
# Both are run even if the first fails.
black_box_tests() {
  local code=0
  # A shell ignores SIGINT in what it starts in the background, whose children would, too; nohup has them ignore SIGHUP.
  local cargo=(env "--default-signal=INT,QUIT,HUP" cargo)
  # What this machine has kept of its runs is none of the tests': they would wait for the core to be as fast as it was then.
  [ "$(id -u)" -ne 0 ] || cargo=(unshare --mount sh -ec 'mount -t tmpfs none /var/lib; exec "$@"' sh "${cargo[@]}")
  "${cargo[@]}" test --locked --test it -- --test-threads=$(($(nproc) + 1)) --skip measuring:: || code=$?
  "${cargo[@]}" test --locked --test it -- --test-threads=1 measuring:: || code=$?
  return $code
}

# ---- for the benchmarks -----------------------------------------------------------------------------------------

# The median, minimum and maximum of the numbers on stdin, one per line.
median_of() { sort -g | awk '{v[NR]=$1} END {if (NR) print (NR%2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2)}'; }
least_of() { sort -g | head -n 1; }
greatest_of() { sort -g | tail -n 1; }
# From the least to the greatest of its arguments.
range_of() { echo "$(printf '%s\n' "$@" | least_of)…$(printf '%s\n' "$@" | greatest_of)"; }

# The median of the numbers on stdin and an interval that holds the median of what they come from with a probability of at
# least 95 %, whatever the distribution: "MEDIAN LOW HIGH COVERAGE". From the k-th least to the k-th greatest, with the largest
# k that will do; five numbers or fewer have none.
median_interval() {
  sort -g | awk '
    {v[NR] = $1}
    END {
      # How likely it is that fewer than k of NR lie below the median: the binomial distribution, summed up.
      term = 0.5 ^ NR
      for (k = 0; k < NR && sum + term <= 0.025; k++) {sum += term; term *= (NR - k) / (k + 1)}
      if (k) print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2), v[k], v[NR + 1 - k], 1 - 2 * sum
    }'
}

# Programs that `stat` and `trace` are held to, a line each; switcher is the tests'.
watched_programs() {
  cat << 'END'
switcher pipe 20000
switcher --pin 0 pipe 20000
switcher processes 20000
switcher --pin 0 processes 20000
switcher futex 20000
switcher yield 20000
switcher sleeps 5000
switcher threads 500
switcher threads 20 1000
switcher many-threads 200
switcher children 300
switcher children 20 1000
switcher nested 20
switcher double-fork 1000
switcher setsid 1000
switcher ignore-sigchld 300
switcher nocldwait 300
switcher unreaped 300
switcher exec 20 100
switcher kill SIGTERM
switcher kill SIGSEGV
switcher exit 3
switcher stop
switcher spin 1
perf bench sched messaging -t -g 2 -l 50
perf bench sched messaging -g 2 -l 50
go version
END
}

# A field of a row of ctxprof's CSV on stdin: csv_field ROW COLUMN
csv_field() {
  awk -F, -v row="$1" -v column="$2" 'NR==1 {for (i=1; i<=NF; i++) if ($i==column) at=i} $1==row {print $at}'
}

# An expression of numbers, computed: calc '%.3f' '1/3'
calc() { awk "BEGIN {printf \"$1\\n\", $2}"; }

# Whether an expression of numbers holds.
holds() { awk "BEGIN {exit !($1)}"; }

# The CPU that ctxprof would choose, or the one asked for.
cpu_or_chosen() {
  if [ -n "${1:-}" ]; then echo "$1"; else "$CTXPROF" list --format json | awk -F'[:,]' '/"pinned_cpu"/ {print $2 + 0}'; fi
}

# Microseconds per round trip by perf's own benchmark on a CPU: perf_pipe_usecs CPU OPS
perf_pipe_usecs() { taskset -c "$1" perf bench sched pipe -T -l "$2" | awk '/usecs\/op/ {print $1}'; }

# ctxprof's CSV of a run: price_list CPU ARGUMENT...
price_list() {
  local cpu=$1
  shift
  "$CTXPROF" run --cpu "$cpu" --no-save --quiet --wide --format csv "$@"
}

# Runs ctxprof's command with its runs kept below a folder, and not where this user's are: kept_below FOLDER ARGUMENT...
kept_below() {
  local folder=$1
  shift
  mkdir -p "$folder"
  if [ "$(id -u)" -ne 0 ]; then
    XDG_STATE_HOME=$folder "$CTXPROF" "$@"
    return
  fi
  # Root's are kept in the system's folder, whatever the environment says: over it, in a mount namespace, is the other one.
  mkdir -p /var/lib/ctxprof
  # shellcheck disable=SC2016  # for the inner shell
  unshare --mount sh -ec 'mount --bind "$0" /var/lib/ctxprof && exec "$@"' "$folder" "$CTXPROF" "$@"
}

# Builds what is measured, and says on what it is measured.
prepare_benchmark() {
  ensure_cargo
  cargo build --release --locked --quiet
  CTXPROF=$PWD/target/release/ctxprof
  echo "# $(uname -sr), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, $("$CTXPROF" --version), $(perf --version 2> /dev/null || echo no perf)"
}

# Builds the program whose switches are known: SWITCHER.
prepare_switcher() {
  cargo build --release --locked --quiet --example switcher
  # shellcheck disable=SC2034  # who sources this uses it
  SWITCHER=$PWD/target/release/examples/switcher
}

# Runs a command with tracefs, in a mount namespace of its own: what is mounted there is not this machine's.
with_tracefs() {
  unshare --mount sh -c 'mountpoint -q /sys/kernel/tracing || mount -t tracefs nodev /sys/kernel/tracing; exec "$@"' sh "$@"
}

# Prints a figure against what it should be, and remembers whether all were met: judge WORDS FIGURE CONDITION WANTED
unmet=0
judge() {
  if holds "$3"; then echo "met:      $1: $2 (wanted: $4)"; else
    echo "NOT MET:  $1: $2 (wanted: $4)"
    unmet=$((unmet + 1))
  fi
}

# ---- for what holds `stat` to a recording of every switch ------------------------------------------------------------

readonly EVENTS=sched:sched_switch,sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit
# Of one CPU's buffer. 16 MiB hold a tenth of a second of the quickest switching there is; perf empties it all the time.
readonly PAGES=4096 MOST_PAGES=262144

# Records the switches of a command, in $folder, until all that it has started is gone, orphans too: each of them holds the writing end of
# a pipe as its file 9. A recording with gaps is made again with more memory.
recorded() {
  local pages=$PAGES
  while true; do
    with_tracefs perf record --quiet --all-cpus --mmap-pages "$pages" --event "$EVENTS" --output "$folder/perf.data" -- \
      bash -c '"$@" 9>&1 > /dev/null < /dev/null | cat; sleep 0.1' bash "$@" 2> "$folder/stderr" ||
      die "perf record: $(tail -n 1 "$folder/stderr")"
    perf report --stats --input "$folder/perf.data" > "$folder/events" 2> /dev/null || die "perf report cannot read what perf recorded"
    grep -q LOST "$folder/events" || return 0
    pages=$((pages * 4))
    [ $pages -le $MOST_PAGES ] || die "perf loses records, even with $MOST_PAGES pages for each CPU"
    say "perf has lost records; again with $pages pages for each CPU"
  done
}

# What the recording says of the program that was started by this path: "SWITCHES ENDED BEFORE", its switches, its threads that
# have ended, and what its process switched before the exec, which is its starter's doing.
truth_of() {
  perf script --input "$folder/perf.data" --fields event,trace 2> /dev/null | awk -v start="$1" '
    # The number after the word, where the next word follows it: what a thread calls itself is in these lines as well.
    function number(word, next_word) {
      return match($0, " " word "=[0-9]+ " next_word "=") ? substr($0, RSTART + length(word) + 2) + 0 : -1
    }
    /sched:sched_switch: / {
      task = number("prev_pid", "prev_prio")
      if (task in ours) switches++; else if (!started) before[task]++
    }
    # The numbers of ended tasks are used again, so every fork says anew whose its child is.
    /sched:sched_process_fork: / {
      child = substr($NF, index($NF, "=") + 1) + 0
      delete ours[child]; delete before[child]
      if (number("pid", "child_comm") in ours) ours[child] = 1
    }
    !started && /sched:sched_process_exec: / && index($0, " filename=" start " pid=") {
      started = 1
      program = number("pid", "old_pid")
      ours[program] = 1
    }
    /sched:sched_process_exit: / && number("pid", "prio") in ours {ended++}
    END {if (started) print switches + 0, ended + 0, before[program] + 0}'
}
