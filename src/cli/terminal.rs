//! Where text goes: standard output for what was asked for, standard error for everything said beside it.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use clap::ColorChoice;

static COLOR: OnceLock<ColorChoice> = OnceLock::new();

/// Remembers what `--color` says.
pub(crate) fn choose_color(choice: ColorChoice) {
    // Only the first choice counts; there is only one.
    let _ = COLOR.set(choice);
}

/// Whether text on standard error is coloured. `NO_COLOR` is honoured (no-color.org).
pub(crate) fn color_on_stderr() -> bool {
    match COLOR.get().copied().unwrap_or(ColorChoice::Auto) {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !unwanted && io::stderr().is_terminal()
        }
    }
}

/// Whether standard error is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a JSON value to standard output, indented.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Writes text to standard error. A closed standard error cannot be told to anybody.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether the reader of our output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
