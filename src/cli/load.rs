//! Reads the pipeline that a command is about.

use std::io::Read;

use millstream::Loader;
use millstream::core::Registry;
use millstream::graph::launch::join_args;
use millstream::graph::params::parse_set;
use millstream::graph::{Graph, LoadError, Loaded};
use millstream::plugins::Search;

use super::{Exit, report};

/// Longest pipeline file that is read, in bytes: beyond what the checker takes (1 MiB), so that it can say so.
const MAX_FILE: u64 = (1 << 20) + 1;

/// A pipeline file and values for its params.
#[derive(clap::Args)]
pub(crate) struct FileArgs {
    /// Pipeline file; `-` is standard input
    pub(crate) file: String,
    /// Give a param a value; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = set)]
    pub(crate) set: Vec<(String, String)>,
}

/// One `--set`.
pub(crate) fn set(text: &str) -> Result<(String, String), String> {
    parse_set(text).map_err(|d| match &d.expected {
        Some(expected) => format!("{}; expected {expected}", d.message),
        None => d.message.clone(),
    })
}

/// A loader with all elements and these values.
pub(crate) fn loader(set: &[(String, String)]) -> Loader {
    let loader = Loader::new(millstream::registry()).with_environment().with_plugins(Search::from_environment());
    set.iter().fold(loader, |loader, (name, value)| loader.set(name, value))
}

/// All elements, those of plugins included.
pub(crate) fn registry() -> Registry {
    loader(&[]).registry().clone()
}

/// The text of a pipeline file. Problems are printed.
pub(crate) fn read(file: &str) -> Result<String, Exit> {
    let mut bytes = Vec::new();
    let result = match file {
        "-" => std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes)),
    };
    if let Err(e) = result {
        let is_line = file.contains(" ! ").then_some("a launch line is run with `millstream launch`");
        report::error(&format!("cannot read the pipeline file {file}: {e}"), is_line);
        return Err(Exit::Usage);
    }
    String::from_utf8(bytes).map_err(|e| {
        let code = millstream::graph::diagnostic::codes::NOT_UTF8;
        let message = format!("[{code}] {file} is not UTF-8 (byte {})", e.utf8_error().valid_up_to());
        let hint = format!("a media file is looked at with `millstream discover {file}`");
        report::error(&message, Some(&hint));
        Exit::Usage
    })
}

/// What became of a pipeline text.
pub(crate) type Load = Result<Loaded, Box<LoadError>>;

/// Reads and checks a pipeline file. An `Err` was printed.
pub(crate) fn file(args: &FileArgs) -> Result<Load, Exit> {
    Ok(loader(&args.set).yaml(&args.file, &read(&args.file)?))
}

/// Reads and checks a launch line given as words.
pub(crate) fn line(words: &[String]) -> Load {
    loader(&[]).launch(&join_args(words))
}

/// Prints what was found and gives the graph, if there is one.
pub(crate) fn graph(load: Load) -> Result<Graph, Exit> {
    loaded(load).map(|loaded| loaded.graph)
}

/// Prints what was found and gives what was read, if it can run.
pub(crate) fn loaded(load: Load) -> Result<Loaded, Exit> {
    match load {
        Ok(loaded) => {
            report::diagnostics(&loaded.warnings, &loaded.source);
            Ok(loaded)
        }
        Err(error) => {
            report::diagnostics(&error.diagnostics, &error.source);
            Err(Exit::Usage)
        }
    }
}
