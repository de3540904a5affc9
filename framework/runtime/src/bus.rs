//! The bus: what elements and the runtime tell the application.

use std::sync::Arc;

use millstream_core::{Message, MessageKind};
use tokio::sync::mpsc;

/// Messages that wait for an application that does not read. What comes after is left out: the counters keep the sums,
/// and the pipeline's own error is kept apart.
const MAX_WAITING: usize = 1024;

/// Sending end; cheap to clone.
#[derive(Clone)]
pub(crate) struct BusSender(mpsc::Sender<Message>);

/// Receiving end of a pipeline's messages.
pub struct Bus(mpsc::Receiver<Message>);

pub(crate) fn bus() -> (BusSender, Bus) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (BusSender(sender), Bus(receiver))
}

impl BusSender {
    pub(crate) fn post(&self, element: &Arc<str>, kind: MessageKind) {
        match &kind {
            MessageKind::Warning(e) => tracing::warn!(element = &**element, "{e}"),
            MessageKind::Error(e) => tracing::error!(element = &**element, "{e}"),
            MessageKind::Dropped(d) => {
                tracing::warn!(element = &**element, bytes = d.bytes, offset = d.offset, "dropped: {}", d.reason);
            }
            MessageKind::Restarting { error, wait, attempt } => {
                tracing::warn!(element = &**element, attempt, "restarting in {wait}: {error}");
            }
            MessageKind::Restarted { attempt } => tracing::info!(element = &**element, attempt, "restarted"),
            MessageKind::GaveUp { attempts } => tracing::error!(element = &**element, attempts, "gave up restarting"),
            MessageKind::Stalled { idle } => tracing::warn!(element = &**element, "stalled: nothing moved for {idle}"),
            MessageKind::Recovered { after } => tracing::info!(element = &**element, "recovered after {after}"),
            MessageKind::Latency(latency) => tracing::debug!(element = &**element, "latency is {latency}"),
            _ => tracing::debug!(element = &**element, ?kind, "message"),
        }
        // A full bus means that nobody reads.
        let _ = self.0.try_send(Message { element: element.clone(), kind });
    }
}

impl Bus {
    /// The next message; `None` when the pipeline is gone.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.recv().await
    }

    /// The next message if one is waiting.
    pub fn try_next(&mut self) -> Option<Message> {
        self.0.try_recv().ok()
    }
}
