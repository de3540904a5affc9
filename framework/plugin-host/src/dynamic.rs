//! Elements that are known only on the machine: asked in a process of its own, and kept as long as nothing changes that they depend on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::find::Installed;
use crate::library::{Library, Refused};
use crate::manifest::{Dynamic, ElementManifest};

/// How long a plugin may take to say what it has. GStreamer looks through all its plugins when its registry is not there.
const MAX_ASK: Duration = Duration::from_secs(120);

/// How often is looked whether it has answered.
const LOOK: Duration = Duration::from_millis(2);

/// Entries of a folder that count for a stamp.
const MAX_ENTRIES: usize = 10_000;

/// Who is asked, and where answers are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// The command line of millstream, which has `plugins ask`. Without it the plugin is asked in this process.
    pub program: Option<PathBuf>,
    /// Folder for answers. Without it they are not kept.
    pub cache: Option<PathBuf>,
}

impl Asking {
    /// The running program if it is the command line, and the user's cache folder.
    #[must_use]
    pub fn from_environment() -> Self {
        let program = std::env::current_exe().ok();
        let program = program.filter(|path| path.file_stem().is_some_and(|stem| stem == "millstream"));
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Self { program, cache: cache.map(|cache| cache.join("millstream/plugins")) }
    }

    /// All elements of a plugin that are known only on the machine.
    pub(crate) fn all(&self, plugin: &Installed) -> Result<Vec<ElementManifest>, Refused> {
        let Some(dynamic) = &plugin.manifest.dynamic else { return Ok(Vec::new()) };
        let text = self.kept(plugin, dynamic, "all", || self.ask(plugin, None))?;
        let all: Vec<ElementManifest> = serde_json::from_str(&text).map_err(|e| faulty(plugin, &e.to_string()))?;
        Ok(all.into_iter().filter(|element| element.check().is_ok()).collect())
    }

    /// One of them.
    pub(crate) fn one(&self, plugin: &Installed, name: &str) -> Result<Option<ElementManifest>, Refused> {
        let Some(dynamic) = &plugin.manifest.dynamic else { return Ok(None) };
        let text = self.kept(plugin, dynamic, name, || self.ask(plugin, Some(name)))?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let element: ElementManifest = serde_json::from_str(&text).map_err(|e| faulty(plugin, &e.to_string()))?;
        element.check().map_err(|fault| faulty(plugin, &format!("it {fault}")))?;
        Ok(Some(element))
    }

    /// The answer to a question, from the cache if it is there.
    fn kept(
        &self,
        plugin: &Installed,
        dynamic: &Dynamic,
        question: &str,
        ask: impl FnOnce() -> Result<String, Refused>,
    ) -> Result<String, Refused> {
        let Some(cache) = &self.cache else { return ask() };
        let folder = cache.join(format!("{}-{}", plugin.manifest.name, stamp(plugin, dynamic)));
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '+' };
        let file = folder.join(format!("{}.json", question.chars().map(safe).collect::<String>()));
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(text);
        }
        let text = ask()?;
        // Where nothing can be kept, it is asked again the next time.
        if let Err(error) = keep(&folder, &file, &text) {
            tracing::debug!(%error, "what {} has is not kept in {}", plugin.manifest.name, folder.display());
        }
        Ok(text)
    }

    fn ask(&self, plugin: &Installed, name: Option<&str>) -> Result<String, Refused> {
        plugin.check_pin()?;
        match &self.program {
            Some(program) => ask_program(program, plugin, name),
            None => answer(&plugin.library, name),
        }
    }
}

fn faulty(plugin: &Installed, fault: &str) -> Refused {
    Refused::new(&plugin.library, format!("what it says of its elements is faulty: {fault}"), "update the plugin")
}

/// What a library says, in this process: what `millstream plugins ask` prints.
///
/// # Errors
/// Why it is not used.
pub fn answer(library: &Path, name: Option<&str>) -> Result<String, Refused> {
    let library = Library::open(library, None)?;
    let text = match name {
        Some(name) => library.describe(name),
        None => Some(library.elements().unwrap_or("[]")),
    };
    Ok(text.unwrap_or_default().to_owned())
}

/// Asks in a process of its own: what a library of the system does there (crash, print, start threads) is no trouble here.
fn ask_program(program: &Path, plugin: &Installed, name: Option<&str>) -> Result<String, Refused> {
    let trouble = |what: String| {
        Refused::new(&plugin.library, what, format!("try it: `millstream plugins ask {}`", plugin.library.display()))
    };
    let io = |e: std::io::Error| trouble(format!("it cannot be asked for its elements: {e}"));
    let answer = std::env::temp_dir().join(format!("millstream-ask-{}-{:x}", std::process::id(), unique()));
    let mut command = Command::new(program);
    command.args(["plugins", "ask"]).arg(&plugin.library).args(name).arg("--output").arg(&answer);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(io)?;
    let until = Instant::now() + MAX_ASK;
    let status = loop {
        match child.try_wait().map_err(io)? {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(trouble(format!("it did not say within {} s which elements it has", MAX_ASK.as_secs())));
            }
            None => std::thread::sleep(LOOK),
        }
    };
    let text = std::fs::read_to_string(&answer);
    let _ = std::fs::remove_file(&answer);
    match text {
        Ok(text) if status.success() => Ok(text),
        _ => Err(trouble(format!("it ended when it was asked for its elements ({status})"))),
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn keep(folder: &Path, file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let part = file.with_extension(format!("{}-{:x}.part", std::process::id(), unique()));
    std::fs::write(&part, text)?;
    std::fs::rename(&part, file)
}

/// What the answers depend on, as a short word.
fn stamp(plugin: &Installed, dynamic: &Dynamic) -> String {
    let mut hash = Sha256::new();
    note(&mut hash, &plugin.library);
    for path in &dynamic.stamp {
        let path = PathBuf::from(expand(path));
        note(&mut hash, &path);
        let entries = std::fs::read_dir(&path).into_iter().flatten().take(MAX_ENTRIES);
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        entries.iter().for_each(|entry| note(&mut hash, entry));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn note(hash: &mut Sha256, path: &Path) {
    hash.update(path.as_os_str().as_encoded_bytes());
    if let Ok(meta) = std::fs::metadata(path) {
        let modified = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        hash.update(meta.len().to_le_bytes());
        hash.update(modified.as_nanos().to_le_bytes());
    }
    hash.update([0]);
}

/// Replaces `${NAME}` by variables of the environment; those that are not set are empty.
fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        out += before;
        let Some((name, after)) = behind.split_once('}') else { return out + "${" + behind };
        out += &std::env::var(name).unwrap_or_default();
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_in_paths() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(expand("${PATH}/x"), format!("{path}/x"));
        assert_eq!(expand("a/${MILLSTREAM_NO_SUCH_VARIABLE}/b"), "a//b");
        assert_eq!(expand("a${b"), "a${b");
    }
}
