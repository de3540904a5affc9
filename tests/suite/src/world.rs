//! Pipelines of ours against each other, on a virtual clock and a network that delays, splits, falls silent and breaks.

use std::sync::Arc;

use millstream_core::{BufferBox, Item, Message, TimeDelta};
use millstream_graph::load_launch;
use millstream_runtime::{Bus, Pipeline, Runtime};
use millstream_testkit::{MemFs, SimNet, Weather, fixture};

use crate::elements::{Collected, registry};
use crate::sim;

/// The clip that [`World`] has as `clip.flv`.
pub const CLIP: &str = "h264b_aac48s_10s.flv";

/// Pictures and sounds of the clip, as its provenance says.
pub const CLIP_FRAMES: (usize, usize) = (300, 470);

/// Longest simulated time that a pipeline may take to end.
const PATIENCE: TimeDelta = TimeDelta::from_secs(600);

/// A runtime, its network and its files, `clip.flv` among them.
pub struct World {
    /// The runtime.
    pub runtime: Runtime,
    /// Its network.
    pub net: SimNet,
    /// Its files.
    pub fs: MemFs,
}

impl World {
    /// One with this network.
    ///
    /// # Panics
    /// When the clip is not there.
    pub fn new(weather: Weather) -> Self {
        let fs = MemFs::new();
        fs.insert("clip.flv", std::fs::read(fixture(CLIP)).expect("the fixture is there"));
        let mut net = None;
        let runtime = Runtime::simulated(7, Arc::new(fs.clone())).expect("a runtime").with_net(|env| {
            let made = SimNet::new(env.clock.clone());
            made.set_weather(weather);
            Arc::new(net.insert(made).clone())
        });
        Self { runtime, net: net.expect("it was made"), fs }
    }

    /// Starts a launch line.
    ///
    /// # Panics
    /// When it is wrong.
    pub fn start(&self, line: &str) -> Pipeline {
        let graph = load_launch(line, &registry()).unwrap_or_else(|error| panic!("{error}")).graph;
        self.runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Lets simulated time pass.
    pub fn pass(&self, time: TimeDelta) {
        let clock = &self.runtime.env().clock;
        self.runtime.block_on(async { clock.sleep_until(clock.now() + time).await });
    }

    /// Waits for the end of a pipeline.
    ///
    /// # Errors
    /// Those of the pipeline.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&self, pipeline: &mut Pipeline) -> millstream_core::Result<()> {
        let clock = &self.runtime.env().clock;
        let ended = self.runtime.block_on(async {
            let alarm = clock.sleep_until(clock.now() + PATIENCE);
            sim::race(pipeline.wait(), alarm).await
        });
        ended.expect("it ends")
    }

    /// Waits for a good end.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub fn end(&self, mut pipeline: Pipeline) {
        self.wait(&mut pipeline).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What a `collect` of a pipeline receives.
///
/// # Panics
/// When there is none of this name.
pub fn collected(pipeline: &mut Pipeline, name: &str) -> Collected {
    pipeline.handle::<Collected>(name).expect("a collect")
}

/// Takes the buffers that were received.
pub fn buffers(collected: &Collected) -> Vec<BufferBox> {
    let buffer = |item| if let Item::Buffer(buffer) = item { Some(buffer) } else { None };
    collected.take().into_iter().filter_map(buffer).collect()
}

/// Takes what is on a bus.
pub fn messages(bus: &mut Bus) -> Vec<Message> {
    std::iter::from_fn(|| bus.try_next()).collect()
}
