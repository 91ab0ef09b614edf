//! CPUs that the participants run on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::sys::affinity::CpuList;

/// Relative position of two participants: by what their CPUs share, nearest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// One CPU.
    #[default]
    Same,
    /// Two hardware threads of one core.
    Smt,
    /// Two cores that share a last-level cache.
    Llc,
    /// Two cores of one socket, each with its own or an unknown last-level cache.
    Socket,
    /// Two sockets.
    Cross,
}

impl Placement {
    /// Every placement, nearest first.
    pub const ALL: [Placement; 5] =
        [Placement::Same, Placement::Smt, Placement::Llc, Placement::Socket, Placement::Cross];

    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Placement::Same => "same",
            Placement::Smt => "smt",
            Placement::Llc => "llc",
            Placement::Socket => "socket",
            Placement::Cross => "cross",
        }
    }
}

/// Properties of a CPU that decide which one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub cpu: usize,
    /// `cpu_capacity`: on machines with big and little cores, the big ones have more.
    pub capacity: Option<u64>,
    /// System calls cost more on such a CPU.
    pub nohz_full: bool,
    /// Device interrupts that it took since boot.
    pub interrupts: u64,
}

/// The CPUs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processors {
    pub present: CpuList,
    pub online: CpuList,
    pub allowed: CpuList,
}

impl Processors {
    /// Returns an allowed CPU other than this one, for threads that must not disturb it; `None` where there is none.
    pub fn spare(&self, cpu: usize) -> Option<usize> {
        self.allowed.cpus().iter().copied().find(|&other| other != cpu)
    }
}

/// The reason of a CPU that the user named.
pub const ASKED_FOR: &str = "asked for";

/// The chosen CPU and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub cpu: usize,
    pub because: String,
}

/// Value of `--place`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceChoice {
    At(Placement),
    /// The leader on the first CPU, the other participants on the second.
    Cpus(usize, usize),
    /// Every placement that this host has.
    All,
}

impl fmt::Display for PlaceChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaceChoice::At(placement) => write!(out, "{}", placement.name()),
            PlaceChoice::Cpus(leader, follower) => write!(out, "{leader},{follower}"),
            PlaceChoice::All => write!(out, "all"),
        }
    }
}

impl FromStr for PlaceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<PlaceChoice, String> {
        if let Some(placement) = Placement::ALL.into_iter().find(|placement| placement.name() == text) {
            return Ok(PlaceChoice::At(placement));
        }
        let cpus = || {
            let (leader, follower) = text.split_once(',')?;
            Some(PlaceChoice::Cpus(leader.parse().ok()?, follower.parse().ok()?))
        };
        match text {
            "all" => Ok(PlaceChoice::All),
            _ => cpus().ok_or_else(|| {
                let names = Placement::ALL.map(Placement::name).join(", ");
                format!("is none of {names}, all, and no pair of CPUs as in 0,1")
            }),
        }
    }
}

/// CPUs that share a core, cache or socket with a CPU, itself included; empty where the kernel does not list them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    pub core: CpuList,
    pub last_level_cache: CpuList,
    pub socket: CpuList,
}

impl Neighbourhood {
    /// Returns the placement of `other` relative to `own`, the CPU that this describes.
    pub fn placement_of(&self, own: usize, other: usize) -> Placement {
        match other {
            other if other == own => Placement::Same,
            other if self.core.contains(other) => Placement::Smt,
            other if self.last_level_cache.contains(other) => Placement::Llc,
            // A kernel that lists no sockets has one.
            other if self.socket.cpus().is_empty() || self.socket.contains(other) => Placement::Socket,
            _ => Placement::Cross,
        }
    }
}

/// Returns, for each requested placement, the CPU of the participants other than the leader, nearest first.
///
/// # Errors
/// This host has no such pair of CPUs, with the reason.
pub fn followers(
    choice: PlaceChoice,
    leader: usize,
    neighbourhood: &Neighbourhood,
    candidates: &[Candidate],
) -> Result<Vec<(Placement, usize)>> {
    let place = |other: usize| neighbourhood.placement_of(leader, other);
    let best_at = |placement: Placement| {
        let there = candidates.iter().filter(|candidate| place(candidate.cpu) == placement);
        there.min_by_key(|candidate| rank(candidate)).map(|candidate| (placement, candidate.cpu))
    };
    match choice {
        PlaceChoice::At(Placement::Same) => Ok(vec![(Placement::Same, leader)]),
        PlaceChoice::Cpus(_, follower) => Ok(vec![(place(follower), follower)]),
        PlaceChoice::All => Ok(Placement::ALL.into_iter().filter_map(best_at).collect()),
        PlaceChoice::At(placement) => match best_at(placement) {
            Some(found) => Ok(vec![found]),
            None => bail!(
                "--place {} is not available: {}",
                placement.name(),
                lacking(placement, leader, neighbourhood, candidates)
            ),
        },
    }
}

/// Returns the reason why there is no CPU at a placement.
fn lacking(placement: Placement, leader: usize, neighbourhood: &Neighbourhood, candidates: &[Candidate]) -> String {
    let allowed: CpuList = candidates.iter().map(|candidate| candidate.cpu).collect();
    if allowed.cpus().len() < 2 {
        return format!("this process may run on CPU {allowed} only");
    }
    let exists = |group: &CpuList| group.cpus().iter().any(|&cpu| neighbourhood.placement_of(leader, cpu) == placement);
    let elsewhere =
        [&neighbourhood.core, &neighbourhood.last_level_cache, &neighbourhood.socket].into_iter().any(exists);
    if elsewhere {
        return format!("the CPUs that CPU {leader} has there are not allowed to this process, only {allowed}");
    }
    match placement {
        Placement::Same => "it always is".to_string(),
        Placement::Smt => format!("the core of CPU {leader} has no second hardware thread (no SMT, or switched off)"),
        Placement::Llc => format!("no other core shares CPU {leader}'s last-level cache, as far as the kernel knows"),
        Placement::Socket => format!("all allowed cores of CPU {leader}'s socket share its last-level cache"),
        Placement::Cross => "this host has one socket, or only one is allowed".to_string(),
    }
}

fn rank(candidate: &Candidate) -> impl Ord + use<> {
    (candidate.nohz_full, std::cmp::Reverse(candidate.capacity), candidate.interrupts, candidate.cpu)
}

/// Returns an allowed CPU of the highest capacity, not `nohz_full`, with the fewest interrupts.
///
/// # Errors
/// No CPU is allowed.
pub fn choose(candidates: &[Candidate]) -> Result<Place> {
    let Some(best) = candidates.iter().min_by_key(|candidate| rank(candidate)) else {
        bail!("no CPU is allowed to this process")
    };
    let because = match candidates {
        [_] => "the only one allowed".to_string(),
        _ if best.nohz_full => format!("all {} allowed are nohz_full", candidates.len()),
        _ => {
            let slower = candidates.iter().any(|candidate| candidate.capacity < best.capacity);
            let strength = if slower { "highest capacity, " } else { "" };
            format!("{strength}fewest interrupts of {} allowed", candidates.len())
        }
    };
    Ok(Place { cpu: best.cpu, because })
}

/// Returns the requested CPU.
///
/// # Errors
/// It does not exist, is offline, or is not allowed to this process.
pub fn asked_for(cpu: usize, processors: &Processors) -> Result<Place> {
    let Processors { present, online, allowed } = processors;
    if !present.contains(cpu) && !online.contains(cpu) && !allowed.contains(cpu) {
        bail!("CPU {cpu} does not exist: this machine has {present}");
    }
    if !online.contains(cpu) && !allowed.contains(cpu) {
        bail!(
            "CPU {cpu} is offline: online are {online}; bring it up: echo 1 | sudo tee /sys/devices/system/cpu/cpu{cpu}/online"
        );
    }
    if !allowed.contains(cpu) {
        bail!("CPU {cpu} is not allowed to this process, only {allowed}: taskset, a cpuset or a container says so");
    }
    Ok(Place { cpu, because: ASKED_FOR.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(cpu: usize, capacity: Option<u64>, nohz_full: bool, interrupts: u64) -> Candidate {
        Candidate { cpu, capacity, nohz_full, interrupts }
    }

    fn check(candidates: &[Candidate], cpu: usize, because: &str) {
        assert_eq!(choose(candidates).unwrap(), Place { cpu, because: because.to_string() });
    }

    #[test]
    fn the_quietest_of_the_strongest_is_chosen() {
        check(&[candidate(3, None, false, 9)], 3, "the only one allowed");
        check(&[candidate(0, None, false, 9), candidate(1, None, false, 2)], 1, "fewest interrupts of 2 allowed");
        check(&[candidate(0, None, false, 2), candidate(1, None, false, 2)], 0, "fewest interrupts of 2 allowed");
        check(
            &[
                candidate(0, Some(400), false, 0),
                candidate(1, Some(1024), false, 7),
                candidate(2, Some(1024), false, 5),
            ],
            2,
            "highest capacity, fewest interrupts of 3 allowed",
        );
        check(&[candidate(0, None, false, 9), candidate(1, None, true, 0)], 0, "fewest interrupts of 2 allowed");
        check(&[candidate(0, None, true, 9), candidate(1, None, true, 0)], 1, "all 2 allowed are nohz_full");
        assert!(choose(&[]).is_err());
    }

    /// CPUs 0 and 4 are a core; 0, 1, 4, 5 share a cache; 0 to 7 are one socket, 8 to 15 another.
    fn server() -> (Neighbourhood, Vec<Candidate>) {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        let neighbourhood = Neighbourhood { core: list("0,4"), last_level_cache: list("0-1,4-5"), socket: list("0-7") };
        (neighbourhood, (0..16).map(|cpu| candidate(cpu, None, false, 100 - cpu as u64)).collect())
    }

    #[test]
    fn placements_are_told_by_what_two_cpus_share() {
        let (neighbourhood, candidates) = server();
        let found = |choice| followers(choice, 0, &neighbourhood, &candidates).unwrap();
        assert_eq!(
            found(PlaceChoice::All),
            [
                (Placement::Same, 0),
                (Placement::Smt, 4),
                (Placement::Llc, 5),
                (Placement::Socket, 7),
                (Placement::Cross, 15)
            ]
        );
        assert_eq!(found(PlaceChoice::At(Placement::Cross)), [(Placement::Cross, 15)]);
        assert_eq!(found(PlaceChoice::Cpus(0, 2)), [(Placement::Socket, 2)]);
        assert_eq!(found(PlaceChoice::Cpus(0, 0)), [(Placement::Same, 0)]);
    }

    #[test]
    fn a_placement_that_a_host_lacks_is_refused_with_the_reason() {
        let (neighbourhood, candidates) = server();
        let lacking = |placement, neighbourhood: &Neighbourhood, candidates: &[Candidate]| {
            followers(PlaceChoice::At(placement), 0, neighbourhood, candidates).unwrap_err().to_string()
        };
        assert!(lacking(Placement::Smt, &neighbourhood, &candidates[..4]).contains("not allowed"));
        assert!(lacking(Placement::Smt, &neighbourhood, &candidates[..1]).contains("CPU 0 only"));
        let without_smt = Neighbourhood { core: "0".parse().unwrap(), ..neighbourhood };
        assert!(lacking(Placement::Smt, &without_smt, &candidates).contains("no SMT"));
        assert!(lacking(Placement::Cross, &without_smt, &candidates[..8]).contains("one socket"));
        let unknown = Neighbourhood::default();
        assert_eq!(unknown.placement_of(0, 1), Placement::Socket);
    }

    #[test]
    fn a_choice_of_places_is_read_as_it_is_written() {
        for text in ["same", "smt", "llc", "socket", "cross", "all", "0,1", "3,3"] {
            assert_eq!(text.parse::<PlaceChoice>().unwrap().to_string(), text);
        }
        for text in ["", "near", "0", "0,", "0,1,2", "-1,0", "0;1"] {
            assert!(text.parse::<PlaceChoice>().unwrap_err().contains("none of same"), "{text}");
        }
    }

    #[test]
    fn a_cpu_that_cannot_be_had_is_refused_with_the_reason() {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        let processors = Processors { present: list("0-3"), online: list("0-2"), allowed: list("0-1") };
        assert_eq!(asked_for(1, &processors).unwrap().cpu, 1);
        for (cpu, words) in
            [(9, "does not exist: this machine has 0-3"), (3, "offline: online are 0-2"), (2, "only 0-1")]
        {
            let error = asked_for(cpu, &processors).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
