//! Failure domains in a chain: what a failing element takes with it, and what goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use millstream_core::{Error, MessageKind, Result};

use super::{Chain, Dest, Kind, Work};

impl Chain {
    /// Runs element code; a panic becomes the error of the element that was being called. `None` when the failure
    /// ended a branch and the rest goes on.
    pub(super) fn guard<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match catch_unwind(AssertUnwindSafe(|| body(self))) {
            Ok(result) => result.map(Some),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
                let error = Error::bug(format!("panicked: {}", text.unwrap_or("no message")));
                match self.whereabouts.get() {
                    Some(node) if node < self.nodes.len() => self.failed(node, error).map(|_| None),
                    _ => Err(error),
                }
            }
        }
    }

    /// An element has failed. Its error ends the pipeline, unless the element is isolated: then it ends the branch.
    #[cold]
    pub(super) fn failed(&mut self, node: usize, error: Error) -> Result<Option<Work>> {
        self.out.clear();
        let slot = &self.nodes[node];
        let error = error.in_element(&slot.name);
        if !slot.isolated {
            return Err(error);
        }
        self.bus.post(&slot.name, MessageKind::Error(Arc::new(error.copy())));
        self.failures.record(error);
        self.kill(node);
        self.check_purpose().map(|()| None)
    }

    /// The source or sink that runs beside the chain has failed.
    pub(crate) fn outside_failed(&mut self, error: Error) -> Result<()> {
        self.failed(0, error).map(drop)
    }

    /// Whoever fed this task is gone without an end: nothing in here can finish what it holds.
    pub(crate) fn abandon(&mut self) -> Result<()> {
        (0..self.nodes.len()).for_each(|node| self.kill(node));
        self.check_purpose()
    }

    fn check_purpose(&self) -> Result<()> {
        match self.failures.left_no_sink() {
            true => Err(Error::bug("every output has failed")),
            false => Ok(()),
        }
    }

    /// Takes an element out, with everything downstream of it: half a stream must not be finished as a whole one.
    fn kill(&mut self, node: usize) {
        let slot = &mut self.nodes[node];
        if matches!(slot.kind, Kind::Dead) {
            return;
        }
        (slot.kind, slot.wake) = (Kind::Dead, None);
        self.hot[node].transform = None;
        if slot.srcs.is_empty() {
            self.failures.sink_is_gone();
        }
        let mut local = Vec::new();
        for link in &mut slot.srcs {
            match &mut link.dest {
                Dest::Local(to, _) => local.push(*to),
                Dest::Port(sender) => sender.abandon(),
            }
        }
        local.into_iter().for_each(|to| self.kill(to));
    }
}
