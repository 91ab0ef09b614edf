//! Sessions, the interface of every workload: start the participants, play, end.

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, getpid, gettid};

use crate::sys::affinity;
use crate::sys::clock::monotonic_ns;
use crate::workload::shape::RingShape;

/// Placement of a session's participants, and their number where it can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The calling thread's CPU, to which it is pinned already.
    pub leader_cpu: usize,
    /// The CPU of the other participant.
    pub follower_cpu: usize,
    /// Worker threads of a multi-thread runtime.
    pub workers: usize,
    /// A CPU without participants, for work that must not disturb them; `None` where none is allowed.
    pub spare_cpu: Option<usize>,
    /// The ring to form; `None` for a pair.
    pub ring: Option<RingShape>,
}

impl Setting {
    /// All participants on one CPU.
    pub fn on(cpu: usize) -> Setting {
        Setting { leader_cpu: cpu, follower_cpu: cpu, workers: 2, spare_cpu: None, ring: None }
    }

    /// Returns true if the participants run on two CPUs.
    pub fn is_apart(&self) -> bool {
        self.leader_cpu != self.follower_cpu
    }

    pub fn cpus(&self) -> Vec<usize> {
        if self.is_apart() { vec![self.leader_cpu, self.follower_cpu] } else { vec![self.leader_cpu] }
    }

    /// The setting of one member of a ring: every other one is on the follower's CPU.
    pub fn of_member(&self, member: usize) -> Setting {
        let follower_cpu = if member % 2 == 1 { self.follower_cpu } else { self.leader_cpu };
        Setting { follower_cpu, ..*self }
    }

    /// Moves the calling thread, a follower that has inherited the leader's CPU, to its own.
    ///
    /// # Errors
    /// That CPU is offline or not allowed.
    pub fn seat_follower(&self) -> Result<()> {
        if !self.is_apart() {
            return Ok(());
        }
        let cpu = self.follower_cpu;
        affinity::restrict_to(&[cpu].into_iter().collect())
            .with_context(|| format!("pinning a participant to CPU {cpu}"))
    }
}

/// One set of participants, alive and waiting between plays. Started while pinned: they run where its [`Setting`] says.
pub trait Session {
    /// The Linux threads that take part, the calling one included if it does.
    fn participants(&self) -> Vec<Participant>;

    /// Returns the number of ops, this or one a little above, that can be played: a token must come back.
    fn fitting(&self, ops: u64) -> u64 {
        ops
    }

    /// Returns the participants of the last play, by their indexes in [`Session::participants`]; `None` if all took part.
    fn visited(&self) -> Option<Vec<usize>> {
        None
    }

    /// Plays this many ops, a number that [`Session::fitting`] returns, and times them, reading the clock only at both ends.
    ///
    /// # Errors
    /// A participant is gone or stuck; the session can then only be dropped or [ended](Session::end).
    fn play(&mut self, ops: u64) -> Result<Played>;

    /// Plays as [`Session::play`] does, at most [`MOST_LAPS`] ops, with the clock read after every op as well.
    ///
    /// # Errors
    /// As [`Session::play`]. Of a ring, always: most hops are out of the calling thread's sight, and other members read no
    /// clock.
    fn play_each(&mut self, _ops: u64, _laps: &mut Laps) -> Result<Played> {
        bail!("the hops of a ring are not timed one by one")
    }

    /// Returns the cost of reading the clock between two ops of [`Session::play_each`], ns per op, measured now.
    ///
    /// # Errors
    /// As [`Session::play`], of participants that have a clock of their own.
    fn lap_cost_ns(&mut self) -> Result<f64> {
        Ok(Laps::cost_ns())
    }

    /// Ends all participants and waits for them, leaving no thread, process or file descriptor behind.
    ///
    /// # Errors
    /// A participant had failed.
    fn end(self: Box<Self>) -> Result<()>;
}

/// Maximum of ops that are timed op by op: the timestamps fit the L2 cache beside the participants' data.
pub const MOST_LAPS: u64 = 10_000;

/// Work between one op and the next.
pub trait Pace {
    /// The first op begins.
    fn begin(&mut self);

    /// An op is over.
    fn lap(&mut self);
}

/// No work: the loop compiles as if there were no pace.
#[derive(Debug)]
pub struct Unpaced;

impl Pace for Unpaced {
    #[inline(always)]
    fn begin(&mut self) {}

    #[inline(always)]
    fn lap(&mut self) {}
}

/// Timestamps between the ops of a play, of the monotonic clock.
#[derive(Debug, Default)]
pub struct Laps {
    moments: Vec<u64>,
}

impl Laps {
    /// Allocates room for so many ops, so that nothing is allocated while they are played.
    pub fn of(ops: u64) -> Laps {
        Laps { moments: Vec::with_capacity(ops as usize + 1) }
    }

    /// Replaces them by those of ops timed in another process, from their durations, ns.
    pub fn replay(&mut self, durations: impl Iterator<Item = u64>) {
        self.moments.clear();
        self.moments.push(0);
        self.moments.extend(durations.scan(0, |now, duration| {
            *now += duration;
            Some(*now)
        }));
    }

    /// Makes each op longer by this share of it.
    pub fn lengthen(&mut self, share: f64) {
        let Some(&first) = self.moments.first() else { return };
        self.moments.iter_mut().for_each(|moment| *moment += ((*moment - first) as f64 * share) as u64);
    }

    /// Returns the timestamps of the first op's start and of each op's end, ns of the monotonic clock; of ops timed in another
    /// process, ns since the first start.
    pub fn moments(&self) -> &[u64] {
        &self.moments
    }

    /// Returns the time from the first op's start to the last one's end, ns.
    pub fn elapsed_ns(&self) -> u64 {
        self.moments.first().zip(self.moments.last()).map_or(0, |(first, last)| last - first)
    }

    /// Returns the cost of a lap by itself, ns: the median of several rows of laps with no op between them.
    fn cost_ns() -> f64 {
        const LAPS: u64 = 1000;
        let mut laps = Laps::of(LAPS);
        let mut costs: [f64; 9] = std::array::from_fn(|_| {
            laps.begin();
            (0..LAPS).for_each(|_| laps.lap());
            laps.elapsed_ns() as f64 / LAPS as f64
        });
        costs.sort_by(f64::total_cmp);
        costs[costs.len() / 2]
    }

    /// Returns the duration of each op, ns, including one reading of the clock.
    pub fn durations(&self) -> impl Iterator<Item = u64> {
        self.moments.windows(2).map(|pair| pair[1] - pair[0])
    }
}

impl Pace for Laps {
    /// Discards the previous play.
    fn begin(&mut self) {
        self.moments.clear();
        self.lap();
    }

    #[inline]
    fn lap(&mut self) {
        self.moments.push(monotonic_ns());
    }
}

/// Result of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    pub elapsed_ns: u64,
    /// Switches between the participants, where the workload counts them itself.
    pub own_switches: Option<u64>,
    /// Wall and CPU time around the play as measured by another process that plays; `None` where this process measures them.
    pub times: Option<PlayTimes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayTimes {
    pub wall_ns: u64,
    pub cpu_ns: u64,
}

impl Played {
    /// A play whose switches the kernel counts.
    pub fn timed(elapsed_ns: u64) -> Played {
        Played { elapsed_ns, own_switches: None, times: None }
    }

    /// A play that counted its own switches.
    pub fn counted(elapsed_ns: u64, switches: u64) -> Played {
        Played { elapsed_ns, own_switches: Some(switches), times: None }
    }
}

/// A Linux thread that takes part in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    pub process: Pid,
    pub thread: Pid,
}

impl Participant {
    pub fn calling_thread() -> Participant {
        Participant { process: getpid(), thread: gettid() }
    }

    /// A process with a single thread.
    pub fn process(pid: Pid) -> Participant {
        Participant { process: pid, thread: pid }
    }

    pub fn thread(thread: Pid) -> Participant {
        Participant { process: getpid(), thread }
    }
}

/// A session in an environment of its own, which stays until the session's followers have ended.
pub(super) struct Within<S> {
    // Dropped in this order.
    pub(super) session: Box<dyn Session>,
    pub(super) surroundings: S,
}

impl<S> Session for Within<S> {
    fn participants(&self) -> Vec<Participant> {
        self.session.participants()
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.session.play(ops)
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.session.play_each(ops, laps)
    }

    fn end(self: Box<Self>) -> Result<()> {
        let Within { session, surroundings } = *self;
        let ended = session.end();
        drop(surroundings);
        ended
    }
}
