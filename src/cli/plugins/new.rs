//! `plugins new NAME`: a plugin to start from, which builds and is loaded as it is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::{Exit, Outcome, report, terminal};

/// What a new plugin in Rust is made of.
const LIB: &str = include_str!("../../../plugins/template-rust/src/lib.rs");
const MAIN: &str = include_str!("../../../plugins/template-rust/src/main.rs");
/// What a new plugin in C is made of.
const PLUGIN_C: &str = include_str!("../../../plugins/template-c/plugin.c");
const MAKEFILE: &str = include_str!("../../../plugins/template-c/Makefile");
const HEADER: &str = include_str!("../../../framework/plugin-abi/include/millstream_plugin.h");

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream plugins new loud          # in Rust
  millstream plugins new loud --c      # in C: a compiler and one header")]
pub(super) struct Args {
    /// Name of the plugin and of its element: lower-case letters and digits
    name: String,
    /// In C
    #[arg(long)]
    c: bool,
    /// Folder of the crate millstream-plugin-sdk; without it that of this program's sources if they are there, else that of the repository
    #[arg(long, value_name = "DIR", conflicts_with = "c")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let name = &args.name;
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !fits {
        report::error(
            &format!("`{name}` cannot be the name of an element"),
            Some("take lower-case letters and digits"),
        );
        return Ok(Exit::Usage);
    }
    let folder = Path::new(name);
    if folder.exists() {
        report::error(&format!("{name} is there already"), Some("give another name, or delete it"));
        return Ok(Exit::Usage);
    }
    let files = if args.c { in_c(name) } else { in_rust(name, &sdk(args.sdk.as_deref())?) };
    for (path, text) in &files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(|| format!("cannot create {name}"))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (build, place) = if args.c { ("make", ".") } else { ("cargo run --release", "target/release") };
    terminal::say(&format!(
        "wrote {name}\nbuild it: cd {name} && {build}\nrun it:   MILLSTREAM_PLUGIN_PATH={place} millstream launch fakesrc num-buffers=10 ! {name} ! fakesink\n"
    ));
    Ok(Exit::Done)
}

type Files = Vec<(&'static str, String)>;

fn in_rust(name: &str, sdk: &str) -> Files {
    let mut manifest = String::new();
    let _ = write!(
        manifest,
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\nlicense = \"MIT OR Apache-2.0\"\n\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
         [dependencies]\nmillstream-plugin-sdk = {{ {sdk} }}\nschemars = \"1\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
         # A workspace of its own, wherever it lies.\n[workspace]\n"
    );
    vec![
        ("Cargo.toml", manifest),
        ("src/lib.rs", renamed(LIB, name).replace("template-rust", name)),
        ("src/main.rs", MAIN.replace("template_rust", name)),
        (".gitignore", "/target\n".to_owned()),
    ]
}

/// The template with another element: `count` and `Count` become the name.
fn renamed(template: &str, name: &str) -> String {
    let upper: String = name.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(name.chars().skip(1)).collect();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("ount") {
        let start = at.saturating_sub(1);
        let (before, word) = rest.split_at(start);
        let is_word = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let new = match &word[..word.len().min(5)] {
            "count" if is_word && !word[5..].starts_with(|c: char| c.is_ascii_alphanumeric()) => Some(name),
            "Count" if is_word => Some(upper.as_str()),
            _ => None,
        };
        text += before;
        text += new.unwrap_or(&word[..5]);
        rest = &word[5..];
    }
    text + rest
}

fn in_c(name: &str) -> Files {
    let source =
        PLUGIN_C.replace("ccount", name).replace("template-c", name).replace("libtemplate_c", &format!("lib{name}"));
    let makefile = MAKEFILE.replace("libtemplate_c", &format!("lib{name}"));
    vec![
        ("plugin.c", source),
        ("Makefile", makefile.replace("../../framework/plugin-abi/include", ".")),
        ("millstream_plugin.h", HEADER.to_owned()),
    ]
}

/// Where the SDK comes from, as in a `Cargo.toml`.
fn sdk(given: Option<&Path>) -> anyhow::Result<String> {
    let found = match given {
        Some(path) => Some(path.canonicalize().with_context(|| format!("there is no {}", path.display()))?),
        None => beside_program(),
    };
    Ok(match found {
        Some(path) => format!("path = \"{}\"", path.display()),
        None => format!("git = \"{}\"", env!("CARGO_PKG_REPOSITORY")),
    })
}

/// The SDK in the sources of this program, if it runs where it was built.
fn beside_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let sdk = program.ancestors().map(|folder| folder.join("framework/plugin-sdk"));
    sdk.into_iter().find(|folder| folder.join("Cargo.toml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_takes_another_name() {
        let text = renamed("`count` Count CountSettings counts \"count\" account every", "loud");
        assert_eq!(text, "`loud` Loud LoudSettings counts \"loud\" account every");
        let lib = renamed(LIB, "loud");
        assert!(
            lib.contains("pub struct LoudSettings") && lib.contains("! loud every=5 !") && !lib.contains("`count`")
        );
    }
}
