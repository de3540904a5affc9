//! Text to a checked graph with the elements of this program.

use millstream_core::Registry;
use millstream_graph::check::CheckOptions;
use millstream_graph::doc::Syntax;
use millstream_graph::params::ParamSources;
use millstream_graph::source::SourceText;
use millstream_graph::{LoadError, Loaded};

/// Why a pipeline was not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The text is faulty; shown with all diagnostics.
    #[error(transparent)]
    Faulty(#[from] Box<LoadError>),
    /// The pipeline failed.
    #[error(transparent)]
    Failed(#[from] millstream_core::Error),
    /// The operating system gave no threads or no timer.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Reads pipelines with the elements of a registry and values for their params.
///
/// ```
/// let loader = millstream::Loader::new(millstream::registry()).set("n", "3");
/// let yaml = "params: { n: 10 }\nlinks: ['fakesrc num-buffers=\"${n}\" ! fakesink']";
/// let loaded = loader.yaml("example", yaml)?;
/// assert_eq!(loaded.graph.nodes.len(), 2);
/// # Ok::<(), millstream::RunError>(())
/// ```
#[derive(Debug, Default)]
pub struct Loader {
    registry: Registry,
    set: Vec<(String, String)>,
    environment: bool,
}

impl Loader {
    /// Reads pipelines of these elements.
    pub fn new(registry: Registry) -> Self {
        Self { registry, ..Self::default() }
    }

    /// Gives a param a value, as `--set name=value` does.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.push((name.into(), value.into()));
        self
    }

    /// Lets params that say so take their value from the environment of the process.
    #[must_use]
    pub fn with_environment(self) -> Self {
        Self { environment: true, ..self }
    }

    /// The elements.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Reads and checks a YAML pipeline; `name` (a path) stands in its diagnostics.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn yaml(&self, name: &str, text: &str) -> Result<Loaded, Box<LoadError>> {
        self.load(SourceText::new(name, text), Syntax::Yaml)
    }

    /// Reads and checks a launch line.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn launch(&self, line: &str) -> Result<Loaded, Box<LoadError>> {
        self.load(SourceText::new("command line", line), Syntax::Launch)
    }

    fn load(&self, source: SourceText, syntax: Syntax) -> Result<Loaded, Box<LoadError>> {
        let env = |name: &str| self.environment.then(|| std::env::var(name).ok()).flatten();
        let params = ParamSources { set: &self.set, env: &env };
        millstream_graph::load(source, syntax, &self.registry, &params, &CheckOptions::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let loader = Loader::new(crate::registry());
        let text = loader.launch("fakesource ! identiti ! fakesink").unwrap_err().to_string();
        for part in ["command line:1:1", "fakesource ! identiti", "did you mean `identity`?"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_environment_is_read_only_when_asked_for() {
        let yaml = "params: { out: { env: PATH } }\nlinks: ['fakesrc ! filesink location=\"${out}\"']";
        assert!(Loader::new(crate::registry()).yaml("t", yaml).is_err());
        assert!(Loader::new(crate::registry()).with_environment().yaml("t", yaml).is_ok());
    }
}
