//! A pipe that carries a token between two parties.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd;

use crate::sys::signal;

/// What is written and read once per hand-over: as many bytes as `perf bench sched pipe` moves.
const TOKEN: [u8; 4] = *b"ctxp";

/// Both ends of a pipe, closed on exec.
#[derive(Debug)]
pub struct Pipe {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
}

impl Pipe {
    /// # Errors
    /// `EMFILE` when `RLIMIT_NOFILE` is reached, `ENFILE` when the system's table is full.
    pub fn new() -> io::Result<Pipe> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        Ok(Pipe { reader, writer })
    }
}

/// Writes the token.
///
/// # Errors
/// `EPIPE` when nobody can read it any more, `TimedOut` when the watchdog has given the measurement up.
#[inline]
pub fn send(writer: impl AsFd) -> io::Result<()> {
    let writer = writer.as_fd();
    match unistd::write(writer, &TOKEN) {
        Ok(4) => Ok(()),
        outcome => send_slowly(writer, outcome),
    }
}

/// Waits for the token.
///
/// # Errors
/// `UnexpectedEof` when nobody can write it any more, `TimedOut` when the watchdog has given the measurement up.
#[inline]
pub fn receive(reader: impl AsFd) -> io::Result<()> {
    let reader = reader.as_fd();
    let mut token = [0; TOKEN.len()];
    match unistd::read(reader, &mut token) {
        Ok(4) => Ok(()),
        outcome => receive_slowly(reader, outcome),
    }
}

#[cold]
fn send_slowly(writer: BorrowedFd<'_>, mut outcome: nix::Result<usize>) -> io::Result<()> {
    loop {
        match outcome {
            Ok(length) if length == TOKEN.len() => return Ok(()),
            // POSIX: a write of up to PIPE_BUF bytes is whole or not at all.
            Ok(length) => return Err(io::Error::other(format!("a pipe took {length} of {} bytes", TOKEN.len()))),
            Err(Errno::EINTR) => signal::check_not_stalled()?,
            Err(errno) => return Err(errno.into()),
        }
        outcome = unistd::write(writer, &TOKEN);
    }
}

#[cold]
fn receive_slowly(reader: BorrowedFd<'_>, mut outcome: nix::Result<usize>) -> io::Result<()> {
    let mut token = [0; TOKEN.len()];
    loop {
        match outcome {
            Ok(length) if length == TOKEN.len() => return Ok(()),
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other party closed its pipe")),
            Ok(length) => return Err(io::Error::other(format!("a pipe gave {length} of {} bytes", TOKEN.len()))),
            Err(Errno::EINTR) => signal::check_not_stalled()?,
            Err(errno) => return Err(errno.into()),
        }
        outcome = unistd::read(reader, &mut token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_sent_is_received() {
        let pipe = Pipe::new().unwrap();
        send(&pipe.writer).unwrap();
        receive(&pipe.reader).unwrap();
    }

    #[test]
    fn a_closed_end_is_an_error_on_the_other() {
        let Pipe { reader, writer } = Pipe::new().unwrap();
        drop(writer);
        assert_eq!(receive(&reader).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let Pipe { reader, writer } = Pipe::new().unwrap();
        drop(reader);
        assert_eq!(send(&writer).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn foreign_bytes_are_not_taken_for_a_token() {
        let pipe = Pipe::new().unwrap();
        unistd::write(&pipe.writer, b"xy").unwrap();
        assert_eq!(receive(&pipe.reader).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
