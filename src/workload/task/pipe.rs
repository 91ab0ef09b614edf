//! Two tokio tasks on one thread that wait for pipes to become readable: I/O readiness through the reactor, where the
//! advantage of tasks is said to vanish.
//!
//! Every handoff is a write, a read that would block, an `epoll_wait`, and a read: more system calls than two threads make.
//!
//! The no-switch cost: one task writes and reads both pipes by itself, and never has to wait.

use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::unix::pipe::{Receiver, Sender, pipe};
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

use crate::sys::token::WORD;
use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::session::Session;
use crate::workload::task::{Counted, Orders, Switches, TaskSession, each_op};
use crate::workload::{NoSwitch, ROUND_TRIP, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-pipe",
    kind: Kind::Task,
    brief: "two pipes through tokio's reactor (epoll)",
    summary: "two tokio tasks on one thread hand a token to and fro through two pipes, waiting for readiness in the reactor (epoll)",
    op: ROUND_TRIP,
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    default: true,
    prepare: |_| on_reactor(ping_pong),
    no_switch: Some(NoSwitch {
        summary: "one task writes and reads the same two pipes by itself: two writes, two reads, no other task polled",
        prepare: |_| on_reactor(alone),
    }),
    ..Workload::EMPTY
};

fn on_reactor(spawn: fn(&Runtime, Orders<Switches>, [Line; 2])) -> Result<Box<dyn Session>> {
    let runtime =
        Builder::new_current_thread().enable_io().build().context("starting a tokio runtime with a reactor")?;
    let lines = {
        let _entered = runtime.enter();
        [pipe().context("making a pipe")?, pipe().context("making a pipe")?]
    };
    TaskSession::on(runtime, Vec::new(), |runtime, orders| spawn(runtime, orders, lines))
}

type Line = (Sender, Receiver);

async fn send(pipe: &Sender) -> io::Result<()> {
    loop {
        match pipe.try_write(&WORD) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.writable().await?,
            outcome => return outcome.map(drop),
        }
    }
}

async fn receive(pipe: &Receiver) -> io::Result<()> {
    let mut token = WORD;
    loop {
        match pipe.try_read(&mut token) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.readable().await?,
            outcome => return outcome.map(drop),
        }
    }
}

fn ping_pong(runtime: &Runtime, mut orders: Orders<Switches>, [there, back]: [Line; 2]) {
    let switches = Arc::clone(&orders.switches);
    let ((to_follower, from_leader), (to_leader, from_follower)) = (there, back);
    let leader = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                send(&to_follower).await.ok()?;
                receive(&from_follower).await.ok()?;
            });
            orders.finish().await?;
        }
        Some(())
    };
    let follower = async move {
        while receive(&from_leader).await.is_ok() {
            send(&to_leader).await.ok()?;
        }
        Some(())
    };
    runtime.spawn(Counted::<1, _, _>::new(&switches, leader));
    runtime.spawn(Counted::<2, _, _>::new(&switches, follower));
}

fn alone(runtime: &Runtime, mut orders: Orders<Switches>, [there, back]: [Line; 2]) {
    let switches = Arc::clone(&orders.switches);
    let task = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, _ => {
                send(&there.0).await.ok()?;
                receive(&there.1).await.ok()?;
                send(&back.0).await.ok()?;
                receive(&back.1).await.ok()?;
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: tokio makes a task that is always ready yield.
    runtime.spawn(Counted::<1, _, _>::new(&switches, unconstrained(task)));
}
