//! Handoff mechanisms of a ping-pong, one end for each participant: signal the other, wait for its signal.

use std::io;

use anyhow::{Context, Result};

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, Pace, Participant, Played, Session, Unpaced};

/// One participant's end of a handoff mechanism.
pub(super) trait Handoff: Sized {
    /// Passes control to the other participant.
    ///
    /// # Errors
    /// The other participant is gone.
    fn signal(&mut self) -> io::Result<()>;

    /// Waits until the other participant passes control.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other participant has closed its end, `BrokenPipe` when it has died, `TimedOut` when the
    /// watchdog has given up the measurement.
    fn wait(&mut self) -> io::Result<()>;

    /// Closes this end, so that the other participant stops waiting.
    fn close(self);
}

/// Plays the leader of a ping-pong and times it; one op is a round trip.
pub(super) fn lead<H: Handoff>(handoff: &mut H, ops: u64, pace: &mut impl Pace) -> io::Result<Played> {
    let started = monotonic_ns();
    pace.begin();
    for _ in 0..ops {
        handoff.signal()?;
        handoff.wait()?;
        pace.lap();
    }
    Ok(Played::timed(monotonic_ns() - started))
}

/// Passes control back whenever it comes, until the leader closes its end.
pub(super) fn follow<H: Handoff>(mut handoff: H) -> io::Result<()> {
    let outcome = loop {
        match handoff.wait().and_then(|()| handoff.signal()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    handoff.close();
    outcome
}

/// Both ends of a mechanism in one thread: the same calls without a switch.
pub(super) struct Alone<H> {
    here: H,
    there: H,
}

impl<H: Handoff + 'static> Alone<H> {
    pub(super) fn prepare(pair: impl FnOnce() -> io::Result<(H, H)>) -> Result<Box<dyn Session>> {
        let (here, there) = pair().context("making what the no-switch cost is played on")?;
        Ok(Box::new(Alone { here, there }))
    }

    fn round_trips(&mut self, ops: u64, pace: &mut impl Pace) -> io::Result<Played> {
        let started = monotonic_ns();
        pace.begin();
        for _ in 0..ops {
            self.here.signal()?;
            self.there.wait()?;
            self.there.signal()?;
            self.here.wait()?;
            pace.lap();
        }
        Ok(Played::timed(monotonic_ns() - started))
    }
}

impl<H: Handoff + 'static> Session for Alone<H> {
    fn participants(&self) -> Vec<Participant> {
        vec![Participant::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.round_trips(ops, &mut Unpaced).context("playing both participants alone")
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.round_trips(ops, laps).context("playing both participants alone")
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
