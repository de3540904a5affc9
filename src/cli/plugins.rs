//! `plugins list|manifest`.

use std::path::PathBuf;

use millstream::plugins::{Search, manifest_from, manifest_of};

use super::{Exit, Outcome, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream plugins list
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
    /// Write the manifest of a library beside it
    Manifest(ManifestArgs),
}

#[derive(clap::Args)]
struct ManifestArgs {
    /// The library
    library: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::List => list(),
        Command::Manifest(args) => manifest(args),
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

fn manifest(args: &ManifestArgs) -> Outcome {
    let manifest = match manifest_from(&args.library) {
        Ok(manifest) => manifest,
        Err(refused) => {
            report::error(&format!("plugin {}: {}", refused.file.display(), refused.reason), Some(&refused.advice));
            return Ok(Exit::Failed);
        }
    };
    let path = manifest_of(&args.library);
    std::fs::write(&path, serde_json::to_string_pretty(&manifest)? + "\n")?;
    terminal::print(&format!("{}\n", path.display()))?;
    Ok(Exit::Done)
}
