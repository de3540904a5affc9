//! A pipeline with a runtime of its own, for programs that run one or two.

use std::any::Any;

use millstream_graph::Graph;
use millstream_runtime::{Bus, Monitor, Runtime, Stopper};

use crate::{Loader, RunError, registry};

/// Runs a YAML pipeline to its end. A template (a source that takes in any stream) is served for ever; a program that wants to know of its
/// instances takes [`Runtime::serve`].
///
/// # Errors
/// [`RunError::Faulty`] before anything has started, [`RunError::Failed`] when an element failed.
pub fn run_yaml(text: &str) -> Result<(), RunError> {
    let loaded = Loader::new(registry()).yaml("pipeline", text)?;
    let Some(template) = loaded.template else { return Pipeline::start(&loaded.graph)?.wait() };
    let runtime = Runtime::new().map_err(RunError::Runtime)?;
    let mut instances = runtime.serve(&template)?;
    Ok(runtime.block_on(instances.wait())?)
}

/// Runs a launch line to its end.
///
/// # Errors
/// As [`run_yaml`].
pub fn launch(line: &str) -> Result<(), RunError> {
    Pipeline::from_launch(line)?.wait()
}

/// A running pipeline on a runtime of its own. Many pipelines share one [`Runtime`] and [`Runtime::start`] instead.
pub struct Pipeline {
    // Before the runtime, so that it is cancelled while there still is one.
    running: millstream_runtime::Pipeline,
    runtime: Runtime,
}

impl Pipeline {
    /// Starts a YAML pipeline with the elements of [`registry`].
    ///
    /// # Errors
    /// As [`run_yaml`].
    pub fn from_yaml(text: &str) -> Result<Self, RunError> {
        Self::start(&Loader::new(registry()).yaml("pipeline", text)?.graph)
    }

    /// Starts a launch line with the elements of [`registry`].
    ///
    /// # Errors
    /// As [`run_yaml`].
    pub fn from_launch(line: &str) -> Result<Self, RunError> {
        Self::start(&Loader::new(registry()).launch(line)?.graph)
    }

    /// Starts a graph: one that was built in code, or read with a [`Loader`] that knows more elements.
    ///
    /// # Errors
    /// When an element cannot be built, or the system gives no threads.
    pub fn start(graph: &Graph) -> Result<Self, RunError> {
        let runtime = Runtime::new().map_err(RunError::Runtime)?;
        Ok(Self { running: runtime.start(graph)?, runtime })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The first error of an element.
    pub fn wait(mut self) -> Result<(), RunError> {
        let result = self.runtime.block_on(self.running.wait());
        drop(self.running);
        self.runtime.shut_down();
        Ok(result?)
    }

    /// What an element left for the program: the handle of an `appsrc`, `appsink` or `valve`, by the element's name.
    pub fn handle<T: Any>(&mut self, element: &str) -> Option<T> {
        self.running.handle(element)
    }

    /// The messages; the first caller gets them.
    pub fn bus(&mut self) -> Option<Bus> {
        self.running.bus()
    }

    /// Stops it from anywhere: ends every source, so that files are finished.
    pub fn stopper(&self) -> Stopper {
        self.running.stopper()
    }

    /// Reads buffers, bytes, caps and drops of every link while it runs.
    pub fn monitor(&self) -> Monitor {
        self.running.monitor()
    }

    /// The runtime, for programs that wait for several things at once.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}
