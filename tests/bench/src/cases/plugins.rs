//! What plugins cost: each buffer that crosses, and each start where they are only installed.

use super::per_buffer::{line, per_hop};
use super::start::LINE;
use crate::bench::{Contender, Settings, alternate, command, median};
use crate::report::{Bar, Figure};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crossing the ABI may cost so much more than a built-in element, in nanoseconds a buffer.
const CROSSING: f64 = 60.0;
/// Plugins that are installed and not used may cost a start so much, in milliseconds.
const STARTING: f64 = 3.0;
/// Plugins that are installed.
const INSTALLED: usize = 20;
/// Buffers through each chain.
const BUFFERS: u32 = 1_000_000;
/// Elements of a short and of a long chain.
const CHAINS: [u32; 2] = [1, 21];
/// Starts are short and scheduling is coarse beside them.
const STARTS: usize = 41;

/// Nanoseconds a buffer that an element of a plugin costs more than `identity`.
pub(crate) fn crossing(settings: &Settings) -> Result<Vec<Figure>> {
    let folder = settings.scratch.path("plugins");
    std::fs::create_dir_all(&folder)?;
    rust_template(settings, &folder)?;
    c_template(settings, &folder)?;
    let buffers = if settings.quick { BUFFERS / 5 } else { BUFFERS };
    let elements = ["identity", "count every=0", "ccount every=0"];
    let contender = |element: &str, count: u32| Contender {
        name: "millstream",
        command: with_plugins(&folder, &format!("{{}} launch {}", line(element, count, buffers)), settings),
    };
    let contenders: Vec<Contender> =
        elements.iter().flat_map(|element| CHAINS.map(|count| contender(element, count))).collect();
    let samples = alternate(settings, settings.rounds, &contenders, || Ok(()))?;
    let hops = f64::from(CHAINS[1] - CHAINS[0]) * f64::from(buffers);
    let costs: Vec<Vec<f64>> = samples
        .chunks(2)
        .map(|pair| per_hop(&pair[0], &pair[1], hops).iter().map(|sample| sample.cpu * 1e9).collect())
        .collect();
    let more = |of: &[f64]| median(of.iter().zip(&costs[0]).map(|(plugin, built_in)| plugin - built_in));
    let figure = |what: &str, of: &[f64]| Figure {
        bench: "plugin-abi",
        what: format!("CPU a buffer more than identity, {what}"),
        unit: "ns",
        ours: more(of),
        peer: "",
        theirs: None,
        ratio: None,
        bar: Some(Bar::AtMost(CROSSING)),
        rounds: settings.rounds,
    };
    Ok(vec![figure("a plugin in Rust", &costs[1]), figure("a plugin in C", &costs[2])])
}

/// Milliseconds that a start takes longer where plugins are installed.
pub(crate) fn start(settings: &Settings) -> Result<Figure> {
    let (none, many) = (settings.scratch.path("none"), settings.scratch.path("many"));
    std::fs::create_dir_all(&none)?;
    std::fs::create_dir_all(&many)?;
    rust_template(settings, &many)?;
    let own = many.join("libtemplate_rust.millstream.json");
    let manifest = std::fs::read_to_string(&own)?;
    for number in 1..INSTALLED {
        let other = manifest
            .replace("template-rust", &format!("other{number}"))
            .replace("\"count\"", &format!("\"count{number}\""));
        std::fs::write(many.join(format!("other{number}.millstream.json")), other)?;
    }
    let contender = |folder: &Path| Contender {
        name: "millstream",
        command: with_plugins(folder, &format!("{{}} launch {LINE}"), settings),
    };
    let contenders = [contender(&none), contender(&many)];
    let rounds = if settings.quick { settings.rounds } else { STARTS };
    alternate(settings, 1, &contenders, || Ok(()))?;
    let samples = alternate(settings, rounds, &contenders, || Ok(()))?;
    let longer = samples[0].iter().zip(&samples[1]).map(|(none, many)| (many.wall - none.wall) * 1e3);
    Ok(Figure {
        bench: "plugin-start",
        what: format!("start with {INSTALLED} plugins installed, longer than with none"),
        unit: "ms",
        ours: median(longer),
        peer: "",
        theirs: None,
        ratio: None,
        bar: Some(Bar::AtMost(STARTING)),
        rounds,
    })
}

/// A command with plugins of a folder only.
pub(super) fn with_plugins(folder: &Path, template: &str, settings: &Settings) -> Vec<String> {
    let template = format!("env MILLSTREAM_PLUGIN_PATH={{}} {template}");
    command(&template, &[&folder.to_string_lossy(), &settings.ours])
}

/// The template in Rust, which is built with the program that is measured.
fn rust_template(settings: &Settings, folder: &Path) -> Result<()> {
    let release = Path::new(&settings.ours).parent().context("a program is in a folder")?;
    let built = ["deps/libtemplate_rust.so", "libtemplate_rust.so"].map(|name| release.join(name));
    let built = built.iter().find(|path| path.is_file()).context("template-rust is not built")?;
    let library = folder.join("libtemplate_rust.so");
    std::fs::copy(built, &library)?;
    manifest(settings, &library)
}

fn c_template(settings: &Settings, folder: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = folder.join("libtemplate_c.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-I"]);
    compiler.arg(root.join("framework/plugin-abi/include")).arg("-o").arg(&library);
    succeed(compiler.arg(root.join("plugins/template-c/plugin.c")))?;
    manifest(settings, &library)
}

/// Writes the manifest of a library beside it.
pub(super) fn manifest(settings: &Settings, library: &PathBuf) -> Result<()> {
    succeed(Command::new(&settings.ours).args(["plugins", "manifest"]).arg(library).stdout(std::process::Stdio::null()))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if status.success() { Ok(()) } else { bail!("{command:?} ended with {status}") }
}
