//! Scenarios: what is measured, written once for all that measure.
//!
//! `benches/core` measures them in time, `benches/instructions` in instructions, and
//! `tests/allocations.rs` in allocations. A scenario is set up and warm when it is made: buffers have
//! grown, maps have room. One step of it leaves the server as it found it, but for the clock, so
//! steps can be repeated for as long as it takes.
#![allow(dead_code, reason = "each of those who measure uses some of them")]

pub(crate) mod codec;
pub(crate) mod crowd;
pub(crate) mod publish;
pub(crate) mod rig;
pub(crate) mod sessions;
pub(crate) mod timers;

/// Steps until everything has grown.
const WARM_UP: usize = 3;

/// Something to do again and again.
pub(crate) struct Scenario {
    /// How many things one step does: deliveries, messages, ticks.
    pub(crate) items: usize,
    step: Box<dyn FnMut()>,
}

impl Scenario {
    /// Makes a scenario of a step that does `items` things, and warms it up.
    fn new(items: usize, step: impl FnMut() + 'static) -> Self {
        let mut scenario = Self { items, step: Box::new(step) };
        (0..WARM_UP).for_each(|_| scenario.step());
        scenario
    }

    /// Does it once.
    pub(crate) fn step(&mut self) {
        (self.step)();
    }
}
