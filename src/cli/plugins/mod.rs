//! `plugins list|new|check|manifest`.

mod check;
mod new;

use std::path::PathBuf;

use millstream::plugins::{Refused, Search, answer, manifest_from, manifest_of};

use super::{Exit, Outcome, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream plugins list
  millstream plugins new loud
  millstream plugins check target/release/libloud.so
  millstream plugins manifest target/release/libcount.so

Plugins are looked for in the folders of MILLSTREAM_PLUGIN_PATH, in ~/.local/share/millstream/plugins, and in
lib/millstream/plugins of /usr and /usr/local. With MILLSTREAM_PLUGIN_ALLOW=name,name=sha256 only these are used.")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the plugins that are found, and why some are not used
    List,
    /// Write a plugin to start from
    New(new::Args),
    /// Try out whether a plugin keeps what the ABI promises
    Check(check::Args),
    /// Write the manifest of a library beside it
    Manifest(ManifestArgs),
    /// Print the elements of a library that are known only on this machine
    #[command(hide = true)]
    Ask(AskArgs),
}

#[derive(clap::Args)]
struct AskArgs {
    /// The library
    library: PathBuf,
    /// One element; without it all
    element: Option<String>,
    /// Write it to a file: the plugin may print
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
struct ManifestArgs {
    /// The library
    library: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::List => list(),
        Command::New(args) => new::run(args),
        Command::Check(args) => check::run(args),
        Command::Manifest(args) => manifest(args),
        Command::Ask(args) => ask(args),
    }
}

fn list() -> Outcome {
    let found = Search::from_environment().plugins();
    if found.is_empty() {
        terminal::print("no plugins (`millstream plugins --help` says where they are looked for)\n")?;
    }
    let mut text = String::new();
    for found in &found {
        match &found.plugin {
            Ok(plugin) => {
                let names: Vec<&str> = plugin.manifest.elements.iter().map(|element| &*element.name).collect();
                let dynamic = plugin.manifest.dynamic.as_ref().map(|dynamic| format!("{}*", dynamic.prefix));
                let elements = names.into_iter().map(str::to_owned).chain(dynamic).collect::<Vec<_>>().join(", ");
                let (name, version) = (&plugin.manifest.name, &plugin.manifest.version);
                text += &format!("{name} {version}  {}\n    elements: {elements}\n", plugin.library.display());
            }
            Err(refused) => text += &format!("not used: {refused}\n"),
        }
    }
    terminal::print(&text)?;
    Ok(Exit::Done)
}

fn not_used(refused: &Refused) -> Exit {
    report::error(&format!("plugin {}: {}", refused.file.display(), refused.reason), Some(&refused.advice));
    Exit::Failed
}

fn ask(args: &AskArgs) -> Outcome {
    let text = match answer(&args.library, args.element.as_deref()) {
        Ok(text) => text,
        Err(refused) => return Ok(not_used(&refused)),
    };
    match &args.output {
        Some(file) => std::fs::write(file, text)?,
        None => terminal::print(&format!("{text}\n"))?,
    }
    Ok(Exit::Done)
}

fn manifest(args: &ManifestArgs) -> Outcome {
    let manifest = match manifest_from(&args.library) {
        Ok(manifest) => manifest,
        Err(refused) => return Ok(not_used(&refused)),
    };
    let path = manifest_of(&args.library);
    std::fs::write(&path, serde_json::to_string_pretty(&manifest)? + "\n")?;
    terminal::print(&format!("{}\n", path.display()))?;
    Ok(Exit::Done)
}
