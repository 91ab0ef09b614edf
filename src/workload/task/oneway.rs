//! Two tokio tasks on one thread, one channel in one direction: nearest to the classic goroutine benchmark.
//!
//! Not the same: tokio has no unbuffered channel. With a capacity of 1 the sender runs on until it finds the channel full,
//! so that both tasks are polled once per message, where an unbuffered channel of Go's takes one switch per message.
//!
//! One op is one message. The no-switch cost: one task sends and receives each message by itself.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::channel;
use tokio::task::unconstrained;

use crate::workload::kind::{Kind, SwitchSource};
use crate::workload::task::{Counted, Orders, Switches, TOKEN, TaskSession, each_op};
use crate::workload::{NoSwitch, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "task-oneway",
    kind: Kind::Task,
    brief: "one channel of capacity 1, one way (tokio)",
    summary: "one tokio task sends to another through a channel of capacity 1",
    op: "one message",
    expected_switches_per_op: Some(2.0),
    switch_source: SwitchSource::Polls,
    remark: Some(
        "its channel has a capacity of 1, since tokio has no unbuffered one: a message takes 2 polls, where Go's unbuffered channel (goroutine-oneway) takes 1 switch",
    ),
    prepare: |_| TaskSession::prepare(stream),
    no_switch: Some(NoSwitch {
        summary: "one task sends and receives by itself: one send, one receive, no other task polled",
        prepare: |_| TaskSession::prepare(alone),
    }),
    ..Workload::EMPTY
};

fn stream(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let (to_receiver, mut from_sender) = channel(1);
    let (say_received, mut all_received) = channel(1);
    let sender = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, left => {
                to_receiver.send(left).await.ok()?;
            });
            all_received.recv().await?;
            orders.finish().await?;
        }
        Some(())
    };
    let receiver = async move {
        while let Some(left) = from_sender.recv().await {
            if left == 0 {
                say_received.send(TOKEN).await.ok()?;
            }
        }
        Some(())
    };
    runtime.spawn(Counted::<1, _, _>::new(&switches, sender));
    runtime.spawn(Counted::<2, _, _>::new(&switches, receiver));
}

fn alone(runtime: &Runtime, mut orders: Orders<Switches>) {
    let switches = Arc::clone(&orders.switches);
    let (to_self, mut from_self) = channel(1);
    let task = async move {
        while let Some(ops) = orders.next().await {
            each_op!(orders, ops, left => {
                to_self.send(left).await.ok()?;
                from_self.recv().await?;
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: tokio makes a task that is always ready yield.
    runtime.spawn(Counted::<1, _, _>::new(&switches, unconstrained(task)));
}
