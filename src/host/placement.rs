//! Which CPU the parties run on.

use anyhow::{Result, bail};

use crate::sys::affinity::CpuList;

/// What is known of a CPU before it is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub cpu: usize,
    /// `cpu_capacity`: on machines with big and little cores, the big ones have more.
    pub capacity: Option<u64>,
    /// System calls cost more on such a CPU.
    pub nohz_full: bool,
    /// Device interrupts that it took since the machine started.
    pub interrupts: u64,
}

/// The CPUs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processors {
    pub present: CpuList,
    pub online: CpuList,
    pub allowed: CpuList,
}

/// The chosen CPU, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub cpu: usize,
    pub because: String,
}

/// Of the allowed CPUs one of the highest capacity, not `nohz_full`, with the fewest interrupts.
///
/// # Errors
/// No CPU is allowed.
pub fn choose(candidates: &[Candidate]) -> Result<Place> {
    let rank = |candidate: &Candidate| {
        (candidate.nohz_full, std::cmp::Reverse(candidate.capacity), candidate.interrupts, candidate.cpu)
    };
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

/// The CPU that was asked for.
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
    Ok(Place { cpu, because: "asked for".to_string() })
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
