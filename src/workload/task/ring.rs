//! A ring of tokio tasks on one thread.
//!
//! Every task can reach every inbox, so that nobody has to wait aside: the task that would make the last hop of a play passes
//! the token to the leading task, which begins the next play with that task again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

use crate::workload::Needs;
use crate::workload::ring::{RingToken, Route, WorkingSet, fitting};
use crate::workload::session::{Participant, Played, Session, Setting};
use crate::workload::shape::RingShape;
use crate::workload::task::{Orders, Switches, Tally, TaskSession, each_op};

/// Returns the resource need of a task that waits at an inbox of so many bytes.
pub(super) const fn needs(inbox_bytes: u32) -> Needs {
    const TASK_BYTES: u32 = 650;
    Needs { threads: 0, files: 0, mappings: 0, bytes: TASK_BYTES + inbox_bytes }
}

/// Inbox at which a task waits for the token.
pub(super) trait Inbox: Sized + Send + 'static {
    /// End at which others hand it in.
    type Door: Send + Sync + 'static;

    fn make() -> (Self::Door, Self);

    /// Hands in the token; `None` when nobody waits at the inbox any more.
    fn hand_in(door: &Self::Door) -> impl Future<Output = Option<()>> + Send;

    /// Takes out the token; `None` when nobody can hand it in any more.
    fn take_out(&mut self) -> impl Future<Output = Option<()>> + Send;
}

/// A task whose polls are counted as this member's. Not [`Counted`](super::Counted), which is aligned and boxed: that makes
/// no difference to two tasks, and half a kilobyte to each of a million.
async fn counted<F: Future>(member: u64, task: F) -> F::Output {
    let mut task = pin!(task);
    // From 1 on: 0 is nobody.
    poll_fn(move |context| {
        Switches.polled(member + 1);
        task.as_mut().poll(context)
    })
    .await
}

pub(super) struct TaskRing {
    session: TaskSession,
    participants: u64,
    /// Holder of the token, as [`Route::ends_at`].
    at: u64,
}

impl TaskRing {
    pub(super) fn prepare<I: Inbox>(_: &Setting, shape: RingShape) -> Result<Box<dyn Session>> {
        ensure!(shape.participants >= RingShape::FEWEST, "a ring has two participants or more");
        let runtime = Builder::new_current_thread().build().context("starting a tokio runtime")?;
        let mut session = TaskSession::start(runtime, Vec::new(), |runtime, orders| spawn::<I>(runtime, orders, shape));
        // Every task is to wait at its inbox, as it will between its turns.
        session.settle();
        Ok(Box::new(TaskRing { session, participants: shape.participants, at: 0 }))
    }

    /// One task that passes the token to itself.
    pub(super) fn prepare_no_switch<I: Inbox>(shape: RingShape) -> Result<Box<dyn Session>> {
        let runtime = Builder::new_current_thread().build().context("starting a tokio runtime")?;
        TaskSession::on(runtime, Vec::new(), |runtime, orders| spawn_alone::<I>(runtime, orders, shape))
    }
}

impl Session for TaskRing {
    fn participants(&self) -> Vec<Participant> {
        self.session.participants()
    }

    fn fitting(&self, ops: u64) -> u64 {
        fitting(self.participants, self.at, ops)
    }

    fn play(&mut self, ops: u64) -> Result<Played> {
        let route = Route::of(self.participants, self.at, ops);
        let played = self.session.play(ops)?;
        self.at = route.ends_at;
        Ok(played)
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// State that all tasks of a ring share.
struct Table<I: Inbox> {
    doors: Vec<I::Door>,
    ring_token: RingToken,
    shape: RingShape,
}

fn spawn<I: Inbox>(runtime: &Runtime, mut orders: Orders<Switches>, shape: RingShape) {
    let (doors, mut inboxes): (Vec<I::Door>, Vec<I>) = (0..shape.participants).map(|_| I::make()).unzip();
    let table = Arc::new(Table::<I> { doors, ring_token: RingToken::default(), shape });
    let mut memory = WorkingSet::of(shape);
    // From the last one down, so that the memory of their list shrinks as it empties.
    for member in (1..shape.participants).rev() {
        if let Some(inbox) = inboxes.pop() {
            let task = hand_on(Arc::clone(&table), member, inbox);
            runtime.spawn(counted(member, task));
        }
    }
    let leader = async move {
        let mut inbox = inboxes.pop()?;
        let mut at = 0;
        while let Some(hops) = orders.next().await {
            let route = Route::of(table.shape.participants, at, hops);
            table.ring_token.start(hops);
            I::hand_in(&table.doors[route.first as usize]).await?;
            for _ in 0..route.comes_by {
                inbox.take_out().await?;
                memory.walk();
                table.ring_token.passed();
                I::hand_in(&table.doors[1]).await?;
            }
            inbox.take_out().await?;
            memory.walk();
            at = route.ends_at;
            orders.finish().await?;
        }
        Some(())
    };
    runtime.spawn(counted(0, leader));
}

async fn hand_on<I: Inbox>(table: Arc<Table<I>>, member: u64, mut inbox: I) -> Option<()> {
    let mut memory = WorkingSet::of(table.shape);
    memory.walk();
    let next = (member + 1) % table.shape.participants;
    loop {
        inbox.take_out().await?;
        memory.walk();
        let to = if table.ring_token.passed() == 1 { 0 } else { next };
        I::hand_in(&table.doors[to as usize]).await?;
    }
}

fn spawn_alone<I: Inbox>(runtime: &Runtime, mut orders: Orders<Switches>, shape: RingShape) {
    let task = async move {
        let (door, mut inbox) = I::make();
        let (ring_token, mut memory) = (RingToken::default(), WorkingSet::of(shape));
        memory.walk();
        while let Some(hops) = orders.next().await {
            ring_token.start(hops);
            each_op!(orders, hops, _ => {
                I::hand_in(&door).await?;
                inbox.take_out().await?;
                memory.walk();
                ring_token.passed();
            });
            orders.finish().await?;
        }
        Some(())
    };
    // Unconstrained: tokio makes a task that is always ready yield.
    runtime.spawn(counted(0, unconstrained(task)));
}
