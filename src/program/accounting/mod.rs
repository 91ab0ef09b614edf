//! Which switches, CPU time and waits are the program's: a ledger of its processes and threads, from polls, exit records and
//! wait4.

mod confined;
mod groups;
pub(crate) mod ledger;
mod process;
pub(crate) mod roots;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timelines;
mod unknown_processes;
mod waited;
#[cfg(test)]
mod world;
