//! The process that holds participants, restarted for every repetition, and its protocol.
//!
//! ```text
//! → ready <process id>
//! ← make <count>
//! → made <count> <ns until created> <ns until their bodies had run> <errno, or 0>
//! ← own
//! → own <bytes that the participants' runtime has in use>    or "own -" if it has no accounting
//! ← end
//! → ended <ns>
//! ```
//!
//! It is another program run, not a fork of this one: memory that this one has allocated and freed would be there for its
//! participants to fill, and what one repetition leaves behind would be there for the next.

use std::io;
use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::footprint::participant::{self, Made, Participants, Shape};
use crate::sys::child::Child;
use crate::sys::clock::monotonic_ns;
use crate::sys::layout;
use crate::sys::reap::Ended;
use crate::workload::kind::Kind;

/// Answers questions on stdin until it ends, in the process that holds participants.
///
/// # Errors
/// An invalid question; a participant that failed.
pub fn serve(kind: Kind, shape: Shape) -> Result<()> {
    if shape.fixed_addresses {
        // The page tables of a copy of this process otherwise vary with its random addresses, from 11 to 15 pages.
        layout::fix();
    }
    let mut participants = Some(participant::prepare(kind, shape)?);
    answer(&format!("ready {}", getpid()))?;
    let mut questions = io::stdin().lock();
    let mut question = String::with_capacity(64);
    loop {
        question.clear();
        if questions.read_line(&mut question)? == 0 {
            return Ok(());
        }
        answer(&reply(&mut participants, question.trim_end())?)?;
    }
}

fn reply(participants: &mut Option<Box<dyn Participants>>, question: &str) -> Result<String> {
    if let Some(count) = question.strip_prefix("make ") {
        let Made { count, created_ns, ran_ns, refused } =
            participants.as_mut().context("the participants have ended")?.make(count.parse()?)?;
        let errno = refused.map_or(0, |errno| errno as i32);
        return Ok(format!("made {count} {created_ns} {ran_ns} {errno}"));
    }
    match question {
        "own" => Ok("own -".to_string()),
        "end" => {
            let participants = participants.take().context("the participants have ended")?;
            let started_ns = monotonic_ns();
            participants.end()?;
            Ok(format!("ended {}", monotonic_ns() - started_ns))
        }
        other => bail!("{other:?} is no question"),
    }
}

fn answer(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush().context("answering")
}

/// A process that holds participants, from outside.
pub struct Holder(Child);

impl Holder {
    /// # Errors
    /// The program cannot be started, or is another one.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Holder> {
        let mut child = Child::start(program, arguments)?;
        let ready = child.listen()?;
        if ready != format!("ready {}", child.pid()) {
            bail!("{} said {ready:?} instead of being ready", program.display());
        }
        Ok(Holder(child))
    }

    pub fn pid(&self) -> Pid {
        self.0.pid()
    }

    /// # Errors
    /// It is gone, or gave up.
    pub fn make(&mut self, count: u64) -> Result<Made> {
        let answer = self.0.ask(&format!("make {count}"))?;
        made(&answer).with_context(|| format!("the participants' process answered {answer:?}"))
    }

    /// Returns the bytes that the participants' runtime reports in use; `None` if it has no accounting.
    ///
    /// # Errors
    /// It is gone.
    pub fn own_bytes(&mut self) -> Result<Option<u64>> {
        let answer = self.0.ask("own")?;
        let value =
            answer.strip_prefix("own ").with_context(|| format!("the participants' process answered {answer:?}"))?;
        if value == "-" { Ok(None) } else { value.parse().map(Some).with_context(|| format!("{value:?} bytes")) }
    }

    /// Ends all participants, and then the process. Returns the time that the participants took, in ns.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn end(mut self) -> Result<u64> {
        let answer = self.0.ask("end")?;
        let elapsed_ns = answer.strip_prefix("ended ").and_then(|ns| ns.parse().ok());
        let elapsed_ns = elapsed_ns.with_context(|| format!("the participants' process answered {answer:?}"))?;
        match self.0.end()? {
            Ended::Exited(0) => Ok(elapsed_ns),
            ended => bail!("the participants' process {ended}"),
        }
    }
}

pub(crate) fn made(answer: &str) -> Option<Made> {
    let numbers: Vec<u64> = answer.strip_prefix("made ")?.split(' ').map_while(|word| word.parse().ok()).collect();
    let [count, created_ns, ran_ns, errno] = numbers[..] else { return None };
    let refused = (errno != 0).then(|| Errno::from_raw(errno as i32));
    Some(Made { count: usize::try_from(count).ok()?, created_ns, ran_ns, refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_four_numbers() {
        let told = made("made 100 5000 7000 11").unwrap();
        assert_eq!((told.count, told.created_ns, told.ran_ns, told.refused), (100, 5000, 7000, Some(Errno::EAGAIN)));
        assert_eq!(made("made 1 2 3 0").unwrap().refused, None);
        for garbage in ["", "made", "made 1 2 3", "made 1 2 3 4 5", "made a 2 3 0", "ended 5"] {
            assert_eq!(made(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_question_that_is_none_is_refused_and_so_is_one_after_the_end() {
        let mut participants =
            Some(participant::prepare(Kind::Task, Shape { capacity: 4, ..Shape::default() }).unwrap());
        assert!(reply(&mut participants, "make 3").unwrap().starts_with("made 3 "));
        assert_eq!(reply(&mut participants, "own").unwrap(), "own -");
        assert!(reply(&mut participants, "make x").is_err() && reply(&mut participants, "play").is_err());
        assert!(reply(&mut participants, "end").unwrap().starts_with("ended "));
        assert!(reply(&mut participants, "make 1").is_err() && reply(&mut participants, "end").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(text in any::<String>()) {
            let _ = made(&text);
            let _ = made(&format!("made {text}"));
        }
    }
}
