//! A program's life: launched or attached to, polled in /proc, stopped.

pub(crate) mod poll;
pub(crate) mod start;
pub(crate) mod stops;
