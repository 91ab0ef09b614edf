//! Forked processes, each waiting in pause(2).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::pause;

use crate::footprint::participant::{Made, Participants, Shape, below};
use crate::sys::clock::monotonic_ns;
use crate::sys::fork::Partner;
use crate::sys::shared::Shared;

pub(super) struct Processes {
    shape: Shape,
    arrived: Shared<AtomicUsize>,
    partners: Vec<Partner>,
}

impl Processes {
    pub(super) fn new(shape: Shape) -> Result<Processes> {
        let arrived = Shared::new(AtomicUsize::new(0))?;
        Ok(Processes { shape, arrived, partners: Vec::with_capacity(shape.capacity) })
    }
}

impl Participants for Processes {
    fn make(&mut self, count: usize) -> Result<Made> {
        let (mut made, mut refused) = (0, None);
        let started_ns = monotonic_ns();
        while made < count {
            let life = || {
                below(self.shape.stack_use, &mut || {
                    self.arrived.fetch_add(1, Ordering::Release);
                    loop {
                        pause();
                    }
                });
                0
            };
            match Partner::fork(life) {
                Ok(partner) => self.partners.push(partner),
                Err(error) => {
                    refused = Some(error.downcast_ref::<Errno>().copied().unwrap_or(Errno::EAGAIN));
                    break;
                }
            }
            made += 1;
        }
        let created_ns = monotonic_ns() - started_ns;
        while self.arrived.load(Ordering::Acquire) < self.partners.len() {
            if let Some(ended) = self.partners.last_mut().and_then(Partner::ended) {
                bail!("a process {ended} that should wait");
            }
            thread::yield_now();
        }
        Ok(Made { count: made, created_ns, ran_ns: monotonic_ns() - started_ns, refused })
    }

    fn end(self: Box<Self>) -> Result<()> {
        for partner in &self.partners {
            kill(partner.pid(), Signal::SIGKILL)?;
        }
        self.partners.into_iter().try_for_each(|partner| partner.wait().map(drop))
    }
}
