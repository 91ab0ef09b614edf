//! Mechanisms of a ping-pong, each in two hands: one gives control and the other takes it.

use std::io;

use anyhow::{Context, Result};

use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, Pace, Party, Played, Session, Unpaced};

/// One party's hand on a mechanism.
pub(super) trait Hand: Sized {
    /// Gives control to the other party.
    ///
    /// # Errors
    /// The other party is gone.
    fn give(&mut self) -> io::Result<()>;

    /// Waits until the other party gives control.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other party has let go, `BrokenPipe` when it has died, `TimedOut` when the watchdog has
    /// given the measurement up.
    fn take(&mut self) -> io::Result<()>;

    /// Lets go for good, so that the other party need not wait any more.
    fn let_go(self);
}

/// Plays the leader of a ping-pong and times it; one op is a round trip.
pub(super) fn lead<H: Hand>(hand: &mut H, ops: u64, pace: &mut impl Pace) -> io::Result<Played> {
    let started = monotonic_ns();
    pace.begin();
    for _ in 0..ops {
        hand.give()?;
        hand.take()?;
        pace.lap();
    }
    Ok(Played::timed(monotonic_ns() - started))
}

/// Gives control back whenever it comes, until the leader lets go.
pub(super) fn follow<H: Hand>(mut hand: H) -> io::Result<()> {
    let outcome = loop {
        match hand.take().and_then(|()| hand.give()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    hand.let_go();
    outcome
}

/// Both hands of a mechanism in one thread: the same calls, and nothing switches.
pub(super) struct Alone<H> {
    here: H,
    there: H,
}

impl<H: Hand + 'static> Alone<H> {
    pub(super) fn prepare(pair: impl FnOnce() -> io::Result<(H, H)>) -> Result<Box<dyn Session>> {
        let (here, there) = pair().context("making what the floor is played on")?;
        Ok(Box::new(Alone { here, there }))
    }

    fn round_trips(&mut self, ops: u64, pace: &mut impl Pace) -> io::Result<Played> {
        let started = monotonic_ns();
        pace.begin();
        for _ in 0..ops {
            self.here.give()?;
            self.there.take()?;
            self.there.give()?;
            self.here.take()?;
            pace.lap();
        }
        Ok(Played::timed(monotonic_ns() - started))
    }
}

impl<H: Hand + 'static> Session for Alone<H> {
    fn parties(&self) -> Vec<Party> {
        vec![Party::calling_thread()]
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        self.round_trips(ops, &mut Unpaced).context("playing both parties alone")
    }

    fn play_each(&mut self, ops: u64, laps: &mut Laps) -> Result<Played> {
        self.round_trips(ops, laps).context("playing both parties alone")
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
