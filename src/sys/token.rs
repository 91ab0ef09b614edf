//! Tokens that participants pass to each other through file descriptors: pipes, sockets, eventfds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd;

use crate::sys::signal;

/// Token of a pipe or a socket: as many bytes as `perf bench sched pipe` moves.
pub const WORD: [u8; 4] = *b"ctxp";
/// Token of an eventfd: the number 1, to be added to its counter.
pub const INCREMENT: [u8; 8] = 1u64.to_ne_bytes();

/// Two descriptors of this process, one to write to and one to read from. Closed on exec.
#[derive(Debug)]
pub struct Line {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
}

impl Line {
    /// Opens a pipe.
    ///
    /// # Errors
    /// `EMFILE` when `RLIMIT_NOFILE` is reached, `ENFILE` when the system's table is full.
    pub fn pipe() -> io::Result<Line> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        Ok(Line { reader, writer })
    }
}

/// Opens an eventfd, to be written and read: a close by another participant is not noticed. Closed on exec.
///
/// # Errors
/// As for a pipe.
pub fn eventfd() -> io::Result<OwnedFd> {
    Ok(OwnedFd::from(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?))
}

/// Opens two connected UNIX stream sockets, each to be read and written. Closed on exec.
///
/// # Errors
/// As for a pipe.
pub fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Writes a token.
///
/// # Errors
/// `EPIPE` when there is no reader any more, `TimedOut` when the watchdog has stopped the measurement.
#[inline]
pub fn send<const N: usize>(writer: impl AsFd, token: [u8; N]) -> io::Result<()> {
    let writer = writer.as_fd();
    match unistd::write(writer, &token) {
        Ok(length) if length == N => Ok(()),
        outcome => send_slowly(writer, &token, outcome),
    }
}

/// Waits for a token of `N` bytes.
///
/// # Errors
/// `UnexpectedEof` when there is no writer any more, `TimedOut` when the watchdog has stopped the measurement.
#[inline]
pub fn receive<const N: usize>(reader: impl AsFd) -> io::Result<()> {
    let reader = reader.as_fd();
    let mut token = [0; N];
    match unistd::read(reader, &mut token) {
        Ok(length) if length == N => Ok(()),
        outcome => receive_slowly(reader, &mut token, outcome),
    }
}

#[cold]
fn send_slowly(writer: BorrowedFd<'_>, token: &[u8], mut outcome: nix::Result<usize>) -> io::Result<()> {
    loop {
        match outcome {
            Ok(length) if length == token.len() => return Ok(()),
            // POSIX: a write of up to PIPE_BUF bytes is whole or not at all.
            Ok(length) => return Err(io::Error::other(format!("{length} of {} bytes were taken", token.len()))),
            Err(Errno::EINTR) => signal::check_in_order()?,
            Err(errno) => return Err(errno.into()),
        }
        outcome = unistd::write(writer, token);
    }
}

#[cold]
fn receive_slowly(reader: BorrowedFd<'_>, token: &mut [u8], mut outcome: nix::Result<usize>) -> io::Result<()> {
    loop {
        match outcome {
            Ok(length) if length == token.len() => return Ok(()),
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other participant closed its end")),
            Ok(length) => return Err(io::Error::other(format!("{length} of {} bytes came", token.len()))),
            Err(Errno::EINTR) => signal::check_in_order()?,
            Err(errno) => return Err(errno.into()),
        }
        outcome = unistd::read(reader, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_sent_is_received() {
        let pipe = Line::pipe().unwrap();
        send(&pipe.writer, WORD).unwrap();
        receive::<4>(&pipe.reader).unwrap();
        let event = eventfd().unwrap();
        send(&event, INCREMENT).unwrap();
        receive::<8>(&event).unwrap();
        let (here, there) = socket_pair().unwrap();
        send(&here, WORD).unwrap();
        receive::<4>(&there).unwrap();
    }

    #[test]
    fn a_closed_end_is_an_error_on_the_other() {
        let Line { reader, writer } = Line::pipe().unwrap();
        drop(writer);
        assert_eq!(receive::<4>(&reader).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let Line { reader, writer } = Line::pipe().unwrap();
        drop(reader);
        assert_eq!(send(&writer, WORD).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn foreign_bytes_are_not_taken_for_a_token() {
        let pipe = Line::pipe().unwrap();
        unistd::write(&pipe.writer, b"xy").unwrap();
        assert_eq!(receive::<4>(&pipe.reader).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
