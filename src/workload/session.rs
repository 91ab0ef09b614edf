//! What every way of switching must be able to do: make its parties, play, end.

use anyhow::{Context, Result};
use nix::unistd::{Pid, getpid, gettid};

use crate::sys::affinity;
use crate::sys::clock::monotonic_ns;
use crate::workload::shape::RingShape;

/// Where a session's parties are to run, and how many there are where that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The calling thread's CPU, to which it is pinned already.
    pub leader_cpu: usize,
    /// The CPU of the party that it plays with.
    pub follower_cpu: usize,
    /// Worker threads of a multi-thread runtime.
    pub workers: usize,
    /// A CPU that no party runs on, for what must keep out of their way; `None` where none is allowed.
    pub spare_cpu: Option<usize>,
    /// The ring that the parties are to be; `None` for a pair.
    pub ring: Option<RingShape>,
}

impl Setting {
    /// All parties on one CPU.
    pub fn on(cpu: usize) -> Setting {
        Setting { leader_cpu: cpu, follower_cpu: cpu, workers: 2, spare_cpu: None, ring: None }
    }

    /// Whether the parties run on two CPUs.
    pub fn is_apart(&self) -> bool {
        self.leader_cpu != self.follower_cpu
    }

    /// The CPUs in use: one, or two.
    pub fn cpus(&self) -> Vec<usize> {
        if self.is_apart() { vec![self.leader_cpu, self.follower_cpu] } else { vec![self.leader_cpu] }
    }

    /// The setting of one member of a ring: every other one is on the follower's CPU.
    pub fn of_member(&self, member: usize) -> Setting {
        let follower_cpu = if member % 2 == 1 { self.follower_cpu } else { self.leader_cpu };
        Setting { follower_cpu, ..*self }
    }

    /// Takes the calling thread, a follower that has inherited the leader's CPU, to its own.
    ///
    /// # Errors
    /// That CPU is offline or not allowed.
    pub fn seat_follower(&self) -> Result<()> {
        if !self.is_apart() {
            return Ok(());
        }
        let cpu = self.follower_cpu;
        affinity::restrict_to(&[cpu].into_iter().collect()).with_context(|| format!("pinning a party to CPU {cpu}"))
    }
}

/// One set of parties, alive and waiting between plays. Made pinned: its parties run where its [`Setting`] says.
pub trait Session {
    /// The Linux threads that take part, the calling one included if it does.
    fn parties(&self) -> Vec<Party>;

    /// The number of ops, this or one a little above, that can be played: a token must come back.
    fn fitting(&self, ops: u64) -> u64 {
        ops
    }

    /// Which of the parties took part in the last play, by their places among [`Session::parties`]; `None` if all did.
    fn visited(&self) -> Option<Vec<usize>> {
        None
    }

    /// Plays this many ops, a number that [`Session::fitting`] gives, and times them, with the clock read at both ends
    /// only.
    ///
    /// # Errors
    /// A party is gone or stuck; the session is then good for nothing but [`Session::end`] or being dropped.
    fn play(&mut self, ops: u64) -> Result<Played>;

    /// Plays as [`Session::play`] does, at most [`MOST_LAPS`] ops, with the clock read after every op as well.
    ///
    /// # Errors
    /// As [`Session::play`].
    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played>;

    /// What reading the clock between two ops costs [`Session::play_each`] per op, ns, measured now.
    ///
    /// # Errors
    /// As [`Session::play`], of parties that have a clock of their own.
    fn lap_cost_ns(&mut self) -> Result<f64> {
        Ok(Laps::cost_ns())
    }

    /// Ends all parties and waits for them, leaving no thread, process or file descriptor behind.
    ///
    /// # Errors
    /// A party had failed.
    fn end(self: Box<Self>) -> Result<()>;
}

/// Ops of a play that is timed op by op: their moments fit the second-level cache beside what the parties need.
pub const MOST_LAPS: u64 = 10_000;

/// What is done between one op and the next.
pub trait Pace {
    /// The first op begins.
    fn begin(&mut self);

    /// An op is over.
    fn lap(&mut self);
}

/// Nothing: the loop is as if there were no pace.
#[derive(Debug)]
pub struct Unpaced;

impl Pace for Unpaced {
    #[inline(always)]
    fn begin(&mut self) {}

    #[inline(always)]
    fn lap(&mut self) {}
}

/// The moments between the ops of a play, by the monotonic clock.
#[derive(Debug, Default)]
pub struct Laps {
    moments: Vec<u64>,
}

impl Laps {
    /// With room for so many ops, so that nothing is allocated while they are played.
    pub fn of(ops: u64) -> Laps {
        Laps { moments: Vec::with_capacity(ops as usize + 1) }
    }

    /// Those of ops that another process has timed, from their durations, ns.
    pub fn retell(&mut self, durations: impl Iterator<Item = u64>) {
        self.moments.clear();
        self.moments.push(0);
        self.moments.extend(durations.scan(0, |now, duration| {
            *now += duration;
            Some(*now)
        }));
    }

    /// The same ops, each longer by this share of it.
    pub fn stretch(&mut self, share: f64) {
        let Some(&first) = self.moments.first() else { return };
        self.moments.iter_mut().for_each(|moment| *moment += ((*moment - first) as f64 * share) as u64);
    }

    /// When the first op began, and when each had ended, ns of the monotonic clock; of ops that another process has timed,
    /// since the first began.
    pub fn moments(&self) -> &[u64] {
        &self.moments
    }

    /// From the first op's begin to the last one's end, ns.
    pub fn elapsed_ns(&self) -> u64 {
        self.moments.first().zip(self.moments.last()).map_or(0, |(first, last)| last - first)
    }

    /// What a lap costs by itself, ns: the median of several rows of laps with no op between them.
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

    /// How long each op took, ns; the clock's reading is in each.
    pub fn durations(&self) -> impl Iterator<Item = u64> {
        self.moments.windows(2).map(|pair| pair[1] - pair[0])
    }
}

impl Pace for Laps {
    /// Forgets the play before.
    fn begin(&mut self) {
        self.moments.clear();
        self.lap();
    }

    #[inline]
    fn lap(&mut self) {
        self.moments.push(monotonic_ns());
    }
}

/// What a play took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    pub elapsed_ns: u64,
    /// Switches between the parties, where the workload counts them itself.
    pub own_switches: Option<u64>,
    /// Wall and CPU time as parties in another process read them around their play; `None` where this process can.
    pub times: Option<PlayTimes>,
}

/// Wall and CPU time of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayTimes {
    pub wall_ns: u64,
    pub cpu_ns: u64,
}

impl Played {
    /// A play whose switches are for the kernel to count.
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
pub struct Party {
    pub process: Pid,
    pub thread: Pid,
}

impl Party {
    pub fn calling_thread() -> Party {
        Party { process: getpid(), thread: gettid() }
    }

    /// A process with a single thread.
    pub fn process(pid: Pid) -> Party {
        Party { process: pid, thread: pid }
    }

    /// Another thread of this process.
    pub fn thread(thread: Pid) -> Party {
        Party { process: getpid(), thread }
    }
}

/// A session played in surroundings of its own, which are there until it has ended: its followers end before they are taken down.
pub(super) struct Within<S> {
    // Dropped in this order.
    pub(super) session: Box<dyn Session>,
    pub(super) surroundings: S,
}

impl<S> Session for Within<S> {
    fn parties(&self) -> Vec<Party> {
        self.session.parties()
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
