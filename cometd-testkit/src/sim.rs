//! [`Sim`]: a runtime with virtual time, seeded randomness and an executor that misses nothing.
//!
//! Nothing here waits for real: time stands still while tasks run, and moves straight to the next
//! moment that somebody sleeps until. The executor polls only tasks that were woken, in an order
//! drawn from the seed, so a lost wake-up shows as a task that never goes on. The same seed gives
//! the same run on any machine.

mod random;
mod sleep;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bayeux_core::front::{Bayeux, Builder, Report, Runtime, Sleep, Task};
use bayeux_core::{ConfigError, Entropy, Time, WallTime};

pub(crate) use random::Random;
pub use sleep::SleepUntil;

/// What the wall clock says at time zero: the beginning of 2001.
const EPOCH_MILLIS: u64 = 978_307_200_000;

/// A simulated runtime. Cloning it is cheap; all clones are the same one.
#[derive(Clone)]
pub struct Sim {
    state: Arc<Mutex<State>>,
}

struct State {
    now: Time,
    random: Random,
    tasks: BTreeMap<u64, TaskState>,
    woken: Vec<u64>,
    spawned: u64,
    /// Who sleeps until when; the number breaks ties in the order of falling asleep.
    sleepers: BTreeMap<(Time, u64), Waker>,
    slept: u64,
    reports: Vec<String>,
    /// Those of them that are about panics.
    panics: Vec<String>,
    /// Whether reports are kept without being shown.
    quiet: bool,
}

enum TaskState {
    Ready(Task),
    /// Being polled.
    Running,
}

impl Sim {
    /// A runtime at time zero whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                now: Time::ZERO,
                random: Random::new(seed),
                tasks: BTreeMap::new(),
                woken: Vec::new(),
                spawned: 0,
                sleepers: BTreeMap::new(),
                slept: 0,
                reports: Vec::new(),
                panics: Vec::new(),
                quiet: false,
            })),
        }
    }

    /// Makes a server on this runtime.
    ///
    /// # Errors
    ///
    /// When the options do not make sense.
    pub fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError> {
        builder.build(Arc::new(self.clone()))
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.lock().now
    }

    /// Runs `future` as a task; its output can be taken from the [`Spawned`].
    pub fn spawn<F>(&self, future: F) -> Spawned<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&result);
        let id = self.spawn_boxed(Box::pin(async move {
            let output = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
        }));
        Spawned { sim: self.clone(), id, result }
    }

    fn spawn_boxed(&self, task: Task) -> u64 {
        let mut state = self.lock();
        state.spawned += 1;
        let id = state.spawned;
        state.tasks.insert(id, TaskState::Ready(task));
        state.woken.push(id);
        id
    }

    /// A future that is ready at `at`.
    pub fn sleep_until(&self, at: Time) -> SleepUntil {
        SleepUntil { sim: self.clone(), at, entry: None }
    }

    /// A future that is ready after `duration`.
    pub fn sleep(&self, duration: Duration) -> SleepUntil {
        self.sleep_until(self.now() + duration)
    }

    /// Polls woken tasks until there is none; time stands still.
    pub fn settle(&self) {
        while let Some(id) = self.next_woken() {
            self.poll(id);
        }
    }

    /// The same, but polls no more than so many times: whether there is no woken task after that. A
    /// task that wakes itself again and again is found out so.
    pub fn settle_within(&self, polls: usize) -> bool {
        for _ in 0..polls {
            let Some(id) = self.next_woken() else { return true };
            self.poll(id);
        }
        self.lock().woken.is_empty()
    }

    fn poll(&self, id: u64) {
        let mut state = self.lock();
        let Some(slot) = state.tasks.get_mut(&id) else { return };
        let TaskState::Ready(mut task) = std::mem::replace(slot, TaskState::Running) else {
            return;
        };
        drop(state);
        let waker = Waker::from(Arc::new(TaskWaker { sim: self.clone(), id }));
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = self.lock();
        match poll {
            Poll::Ready(()) => {
                state.tasks.remove(&id);
                drop(state);
                drop(task);
            }
            Poll::Pending => match state.tasks.get_mut(&id) {
                Some(slot) => *slot = TaskState::Ready(task),
                // It was aborted while it ran.
                None => {
                    drop(state);
                    drop(task);
                }
            },
        }
    }

    fn next_woken(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.woken.is_empty() {
            return None;
        }
        let count = state.woken.len() as u64;
        let at = state.random.below(count) as usize;
        Some(state.woken.swap_remove(at))
    }

    /// Lets `duration` pass: everything that is due meanwhile happens, at its time.
    pub fn advance(&self, duration: Duration) {
        let end = self.now() + duration;
        self.settle();
        while self.step_to_next_sleeper(end) {}
        self.lock().now = end;
        self.settle();
    }

    /// Moves to the next moment that somebody sleeps until. Whether there was one.
    pub fn step(&self) -> bool {
        self.step_to_next_sleeper(Time::FAR_FUTURE)
    }

    /// Moves to the next moment that somebody sleeps until, but not beyond `end`. Whether there
    /// was one.
    fn step_to_next_sleeper(&self, end: Time) -> bool {
        let mut state = self.lock();
        match state.sleepers.first_key_value() {
            Some((&(at, number), _)) if at <= end => {
                state.now = state.now.max(at);
                let waker = state.sleepers.remove(&(at, number));
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                self.settle();
                true
            }
            _ => false,
        }
    }

    /// When the first of those who sleep wants to be woken.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.lock().sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets the clock show `at`, if it is not there yet, and wakes everybody who wanted to sleep until
    /// then, all at once: to the server the time between did not happen, as when the machine was
    /// busy or asleep. Nobody runs before [`settle`](Self::settle).
    pub fn jump_to(&self, at: Time) {
        let mut state = self.lock();
        state.now = state.now.max(at);
        let now = state.now;
        let mut due = Vec::new();
        while let Some(entry) = state.sleepers.first_entry().filter(|it| it.key().0 <= now) {
            due.push(entry.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Runs `future` to its end, letting as much time pass as that takes.
    ///
    /// # Panics
    ///
    /// When nothing will ever happen that could finish it: a wake-up is missing, or it waits for
    /// something that nobody does.
    pub fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let spawned = self.spawn(future);
        self.settle();
        loop {
            if let Some(output) = spawned.take() {
                return output;
            }
            assert!(self.step(), "nothing is left that could finish the future");
        }
    }

    /// What was reported of the application's failures, in order.
    pub fn reports(&self) -> Vec<String> {
        self.lock().reports.clone()
    }

    /// Those of the [`reports`](Self::reports) that say that a handler panicked.
    pub fn panics(&self) -> Vec<String> {
        self.lock().panics.clone()
    }

    /// Keeps what is reported from here on without showing it: for runs in which handlers fail by
    /// the thousand, and somebody looks at the reports.
    pub fn keep_quiet(&self) {
        self.lock().quiet = true;
    }

    /// Takes what was reported since the last time.
    pub fn take_reports(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().reports)
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.lock().tasks.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked is over; what it leaves behind may be looked at all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Runtime for Sim {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(EPOCH_MILLIS + self.now().as_micros() / 1_000)
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Box::pin(Self::sleep_until(self, at))
    }

    fn spawn(&self, task: Task) {
        self.spawn_boxed(task);
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        let seed = self.lock().random.next();
        Box::new(Random::new(seed))
    }

    fn report(&self, report: Report<'_>) {
        let text = report.to_string();
        let mut state = self.lock();
        if !state.quiet {
            // A test that does not ask for reports should at least show them when it fails.
            eprintln!("{text}");
        }
        if matches!(report, Report::HandlerPanicked { .. }) {
            state.panics.push(text.clone());
        }
        state.reports.push(text);
    }
}

struct TaskWaker {
    sim: Sim,
    id: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.sim.lock();
        if !state.woken.contains(&self.id) {
            state.woken.push(self.id);
        }
    }
}

/// A task and where its output will be.
pub struct Spawned<T> {
    sim: Sim,
    id: u64,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> Spawned<T> {
    /// The output, once, if the task has ended.
    pub fn take(&self) -> Option<T> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the task has ended.
    pub fn is_over(&self) -> bool {
        !self.sim.lock().tasks.contains_key(&self.id)
    }

    /// Puts an output back that was only looked at.
    pub(crate) fn put_back(&self, output: T) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
    }

    /// Drops the task's future, as a server does when a client's connection is gone.
    pub fn abort(self) {
        let task = self.sim.lock().tasks.remove(&self.id);
        drop(task);
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_when_everybody_sleeps() {
        let sim = Sim::new(1);
        let sleeper = sim.clone();
        let task = sim.spawn(async move {
            sleeper.sleep(Duration::from_millis(30)).await;
            sleeper.now()
        });
        sim.advance(Duration::from_millis(29));
        assert_eq!(task.take(), None);
        sim.advance(Duration::from_millis(10));
        assert_eq!(task.take(), Some(Time::from_millis(30)));
        assert_eq!(sim.now(), Time::from_millis(39));
    }

    #[test]
    fn an_aborted_task_is_dropped() {
        let sim = Sim::new(1);
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = sim.spawn(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        });
        sim.settle();
        assert_eq!(Arc::strong_count(&held), 2);
        task.abort();
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(sim.tasks(), 0);
    }

    #[test]
    #[should_panic(expected = "nothing is left")]
    fn a_future_that_nobody_finishes_is_found_out() {
        Sim::new(1).block_on(std::future::pending::<()>());
    }
}
