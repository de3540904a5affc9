//! A pipeline of ours that publishes, fed by a streaming thread of GStreamer, which waits here and not on a worker.

use std::collections::BTreeMap;

use millstream_core::{Error, Item, MessageKind, Registry, Request, Result};
use millstream_generic::AppSrcHandle;
use millstream_graph::GraphBuilder;
use millstream_runtime::{Bus, Pipeline};
use tokio::sync::watch;

/// Names of the elements in the pipeline, as errors have them.
const INPUT: &str = "input";
const OUTPUT: &str = "msrtmpsink";

/// See the module.
pub(crate) struct Publishing {
    input: AppSrcHandle,
    running: Pipeline,
    bus: Option<Bus>,
}

/// How a wait came out.
pub(crate) enum Outcome {
    /// What was waited for is done.
    Done,
    /// The pipeline wants something of those who make the stream.
    Asked(Request),
    /// The wait was broken off.
    Interrupted,
    /// The pipeline is over.
    Ended(Result<()>),
}

impl Publishing {
    /// Begins, with the settings of `rtmpsink`. A live stream is never held back.
    ///
    /// # Errors
    /// What keeps the pipeline from starting.
    pub(crate) fn start(settings: &BTreeMap<String, String>, live: bool) -> Result<Self> {
        let mut registry = Registry::new();
        millstream_generic::register(&mut registry);
        millstream_rtmp::register(&mut registry);
        let live = if live { "true" } else { "false" };
        let settings = settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let graph = GraphBuilder::new(&registry)
            .element_text(INPUT, "appsrc", [("caps", "video/x-flv"), ("is-live", live)])
            .element_text(OUTPUT, "rtmpsink", settings)
            .link(INPUT, OUTPUT)
            .build();
        // Its text shows the place of an error, which may be the stream key. The settings have been checked before.
        let graph = graph.map_err(|_| Error::settings("the settings of msrtmpsink cannot be"))?;
        let mut running = crate::runtime()?.start(&graph)?;
        let input = running.handle(INPUT).ok_or_else(|| Error::bug("appsrc left no handle"))?;
        let bus = running.bus();
        Ok(Self { input, running, bus })
    }

    /// Sends an item; waits while the pipeline is behind. After [`Outcome::Asked`] and [`Outcome::Interrupted`] it has not been sent.
    pub(crate) fn send(&mut self, item: Item, stop: &mut watch::Receiver<bool>) -> Result<Outcome> {
        let Self { input, running, .. } = self;
        let runtime = crate::runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Some(Outcome::Interrupted),
                Some(request) = input.next_request() => Some(Outcome::Asked(request)),
                sent = input.push_item(item) => sent.is_ok().then_some(Outcome::Done),
            }
        });
        Ok(outcome.unwrap_or_else(|| Outcome::Ended(runtime.block_on(running.wait()))))
    }

    /// Ends the stream and waits until the server has it.
    pub(crate) fn finish(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Outcome> {
        let Self { input, running, .. } = self;
        let ended = crate::runtime()?.block_on(async {
            let end = async {
                // Where nobody takes it, the pipeline says why.
                let _ = input.eos().await;
                running.wait().await
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Outcome::Interrupted,
                ended = end => Outcome::Ended(ended),
            }
        });
        Ok(ended)
    }

    /// What the pipeline told since.
    pub(crate) fn messages(&mut self) -> Vec<MessageKind> {
        let bus = self.bus.as_mut();
        bus.map(|bus| std::iter::from_fn(|| bus.try_next()).map(|message| message.kind).collect()).unwrap_or_default()
    }

    /// Ends it, within the limits of the runtime.
    pub(crate) fn stop(mut self) {
        self.running.stopper().stop();
        if let Ok(runtime) = crate::runtime() {
            // The stream was broken off by who stopped it: nobody is left to tell.
            let _ = runtime.block_on(self.running.wait());
        }
    }
}
