//! Text to a checked graph with the elements of this program.

use std::path::Path;

use millstream_core::Registry;
use millstream_graph::check::CheckOptions;
use millstream_graph::diagnostic::{Diagnostic, codes};
use millstream_graph::doc::{PluginDoc, Syntax};
use millstream_graph::params::ParamSources;
use millstream_graph::source::SourceText;
use millstream_graph::{LoadError, Loaded};
use millstream_plugin_host::{Plugins, Refused, Search};

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
    /// The elements without those of plugins.
    built_in: Registry,
    set: Vec<(String, String)>,
    environment: bool,
    plugins: Option<Search>,
}

impl Loader {
    /// Reads pipelines of these elements.
    pub fn new(registry: Registry) -> Self {
        Self { built_in: registry.clone(), registry, ..Self::default() }
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

    /// Lets pipelines use elements of plugins, from where the search looks and from the places under `plugins:` of a file. Without it no library is
    /// ever loaded.
    #[must_use]
    pub fn with_plugins(mut self, search: Search) -> Self {
        self.registry.add_provider(Plugins::new(search.clone()));
        Self { plugins: Some(search), ..self }
    }

    /// The elements. Those of plugins that only a file names are not among them.
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
        let (own, refused) = self.with_named(&source, syntax).unzip();
        let registry = own.as_ref().unwrap_or(&self.registry);
        let result = millstream_graph::load(source, syntax, registry, &params, &CheckOptions::default());
        match (result, refused.filter(|refused| !refused.is_empty())) {
            (result, None) => result,
            (Ok(loaded), Some(refused)) => {
                let diagnostics = refused.into_iter().chain(loaded.warnings).collect();
                Err(Box::new(LoadError { diagnostics, source: loaded.source }))
            }
            (Err(mut error), Some(refused)) => {
                error.diagnostics.splice(0..0, refused);
                Err(error)
            }
        }
    }

    /// A registry with the plugins that a file names before all others, if it names some, and what is wrong with those. Their paths are relative
    /// to the file.
    fn with_named(&self, source: &SourceText, syntax: Syntax) -> Option<(Registry, Vec<Diagnostic>)> {
        // Reading it twice is for those few that need it.
        let search = self.plugins.as_ref().filter(|_| source.text().contains("plugins:"))?;
        let named = millstream_graph::plugins(source, syntax);
        let folder = Path::new(source.name()).parent().unwrap_or(Path::new(""));
        let place = |plugin: &PluginDoc| folder.join(&plugin.path.value);
        let pin = |plugin: &PluginDoc| plugin.sha256.as_ref().map(|pin| pin.value.clone());
        let add = |search: Search, plugin: &PluginDoc| search.with_place(place(plugin), pin(plugin));
        let plugins = Plugins::new(named.iter().fold(search.clone(), add));
        let refused = plugins.refused();
        let faults = named.iter().flat_map(|plugin| {
            let own = refused.iter().filter(|refused| refused.file.starts_with(place(plugin)));
            own.map(|refused| not_used(refused, plugin)).collect::<Vec<_>>()
        });
        let faults = faults.collect();
        let mut registry = self.built_in.clone();
        registry.add_provider(plugins);
        (!named.is_empty()).then_some((registry, faults))
    }
}

/// A plugin that the file names, and that is not used.
fn not_used(refused: &Refused, plugin: &PluginDoc) -> Diagnostic {
    let message = format!("plugin {}: {}", refused.file.display(), refused.reason);
    Diagnostic::error(codes::PLUGIN_REFUSED, message).at(plugin.path.span, "").hint(&refused.advice)
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
