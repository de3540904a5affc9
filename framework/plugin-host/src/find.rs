//! Where plugins are: the search path, who is allowed, what is pinned.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::library::{Library, Refused, fits, refuse_abi};
use crate::manifest::{Manifest, SUFFIX};

/// Variable with folders and files, separated as in `PATH`.
pub const PATH_VARIABLE: &str = "MILLSTREAM_PLUGIN_PATH";
/// Variable with names of plugins that may be used, separated by commas, each with `=` and a SHA-256 if it is pinned.
pub const ALLOW_VARIABLE: &str = "MILLSTREAM_PLUGIN_ALLOW";

/// Files of a folder that are looked at. A folder with more is no folder of plugins.
const MAX_FILES: usize = 10_000;

/// A place where plugins may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A folder with manifests, a manifest, or a library with its manifest beside it.
    pub path: PathBuf,
    /// SHA-256 of the library in hexadecimal, if only that one will do.
    pub sha256: Option<String>,
}

/// Which plugins are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Places that were named, before all others.
    pub named: Vec<Place>,
    /// The value of [`PATH_VARIABLE`], and user and system folders.
    pub usual: Vec<PathBuf>,
    /// Names of the only plugins that may be used, with a SHA-256 where one is pinned; `None`: all.
    pub allowed: Option<Vec<(String, Option<String>)>>,
}

impl Search {
    /// What the environment of the process says, and the usual folders.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        let mut usual: Vec<PathBuf> =
            variable(PATH_VARIABLE).map(|all| std::env::split_paths(&all).collect()).unwrap_or_default();
        usual.extend(user_folder(variable("XDG_DATA_HOME").as_deref(), variable("HOME").as_deref()));
        usual.extend(beside_program());
        usual.extend(["/usr/local/lib/millstream/plugins", "/usr/lib/millstream/plugins"].map(PathBuf::from));
        usual.retain(|path| !path.as_os_str().is_empty());
        let allowed = variable(ALLOW_VARIABLE).map(|list| allowed(&list.to_string_lossy()));
        Self { named: Vec::new(), usual, allowed }
    }

    /// The same with a place before all others.
    #[must_use]
    pub fn with_place(mut self, path: impl Into<PathBuf>, sha256: Option<String>) -> Self {
        self.named.push(Place { path: path.into(), sha256 });
        self
    }

    /// All plugins in the order of the places, each name once. Reads manifests and nothing else.
    #[must_use]
    pub fn plugins(&self) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        let usual = self.usual.iter().map(|path| (path, None, false));
        let named = self.named.iter().map(|place| (&place.path, place.sha256.as_ref(), true));
        for (path, pin, is_named) in named.chain(usual) {
            for manifest in manifests(path, is_named) {
                let plugin = match manifest {
                    Ok(path) => self.read(&path, pin),
                    Err(refused) => Found { manifest: path.clone(), plugin: Err(refused) },
                };
                let name = |found: &Found| found.plugin.as_ref().ok().map(|plugin| plugin.manifest.name.clone());
                let again = found.iter().any(|other| {
                    other.manifest == plugin.manifest || (name(other).is_some() && name(other) == name(&plugin))
                });
                if !again {
                    found.push(plugin);
                }
            }
        }
        found
    }

    fn read(&self, path: &Path, pin: Option<&String>) -> Found {
        let plugin = self.check(path, pin);
        Found { manifest: path.to_owned(), plugin }
    }

    fn check(&self, path: &Path, pin: Option<&String>) -> Result<Installed, Refused> {
        let rewrite = "write it anew with `millstream plugins manifest LIBRARY`";
        let manifest =
            Manifest::read(path).map_err(|fault| Refused::new(path, format!("the manifest {fault}"), rewrite))?;
        let Some((major, minor)) = manifest.abi() else {
            let reason = format!("the manifest says ABI `{}`, which is no version", manifest.abi);
            return Err(Refused::new(path, reason, rewrite));
        };
        if !fits(major, minor) {
            return Err(refuse_abi(path, major, minor));
        }
        let mut pin = pin.cloned();
        if let Some(allowed) = &self.allowed {
            let Some((_, own)) = allowed.iter().find(|(name, _)| *name == manifest.name) else {
                let reason = format!("`{}` is not in {ALLOW_VARIABLE}", manifest.name);
                return Err(Refused::new(path, reason, "add its name there if you trust it"));
            };
            pin = pin.or_else(|| own.clone());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        Ok(Installed { library: folder.join(&manifest.library), manifest, sha256: pin })
    }
}

/// A manifest that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its file.
    pub manifest: PathBuf,
    /// The plugin, or why it is not used.
    pub plugin: Result<Installed, Refused>,
}

/// A plugin that can be used, as far as is known without loading it.
#[derive(Clone, Debug)]
pub struct Installed {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its library.
    pub library: PathBuf,
    /// What the library has to be.
    pub sha256: Option<String>,
}

impl Installed {
    /// Loads it, as it is when the first of its elements is built: whether it can be used.
    ///
    /// # Errors
    /// Why not.
    pub fn load(&self) -> Result<(), Refused> {
        self.check_pin()?;
        Library::open(&self.library, Some(&self.manifest)).map(drop)
    }

    /// Whether the library is the one that it has to be.
    pub(crate) fn check_pin(&self) -> Result<(), Refused> {
        let Some(pin) = &self.sha256 else { return Ok(()) };
        let bytes = std::fs::read(&self.library)
            .map_err(|e| Refused::new(&self.library, format!("it cannot be read: {e}"), "build or copy it again"))?;
        let own: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if own.eq_ignore_ascii_case(pin.trim()) {
            return Ok(());
        }
        let reason = format!("its SHA-256 is {own}, and it is pinned to {pin}");
        Err(Refused::new(&self.library, reason, "install the pinned build, or change the pin if you trust this one"))
    }
}

fn allowed(list: &str) -> Vec<(String, Option<String>)> {
    let entry = |entry: &str| match entry.split_once('=') {
        Some((name, pin)) => (name.trim().to_owned(), Some(pin.trim().to_owned())),
        None => (entry.trim().to_owned(), None),
    };
    list.split(',').map(entry).filter(|(name, _)| !name.is_empty()).collect()
}

fn user_folder(data: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let data = data.map(PathBuf::from).or_else(|| Some(Path::new(home?).join(".local/share")))?;
    Some(data.join("millstream/plugins"))
}

/// `lib/millstream/plugins` of the prefix into which the program is installed.
fn beside_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let prefix = program.parent()?.parent()?;
    (program.parent()?.file_name()? == "bin").then(|| prefix.join("lib/millstream/plugins"))
}

/// Manifests in a place. What was named and is not there is told; a usual folder need not be there.
fn manifests(path: &Path, is_named: bool) -> Vec<Result<PathBuf, Refused>> {
    if path.is_dir() {
        return in_folder(path).into_iter().map(Ok).collect();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !path.is_file() {
        let refused = || Refused::new(path, "there is no such file or folder", "correct the path");
        return if is_named { vec![Err(refused())] } else { Vec::new() };
    }
    if name.ends_with(SUFFIX) {
        return vec![Ok(path.to_owned())];
    }
    let beside = manifest_of(path);
    if beside.is_file() {
        return vec![Ok(beside)];
    }
    let reason = format!("no manifest is beside it ({})", beside.display());
    let advice = format!("write it with `millstream plugins manifest {}`", path.display());
    vec![Err(Refused::new(path, reason, advice))]
}

/// The manifest of a library: `libcount.so` has `libcount.millstream.json`.
#[must_use]
pub fn manifest_of(library: &Path) -> PathBuf {
    let stem = library.file_stem().unwrap_or_default().to_string_lossy();
    library.with_file_name(format!("{stem}{SUFFIX}"))
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(MAX_FILES);
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut manifests: Vec<PathBuf> =
        names.filter(|name| name.to_string_lossy().ends_with(SUFFIX)).map(|name| folder.join(name)).collect();
    manifests.sort();
    manifests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allow_list_has_names_and_pins() {
        let list = allowed("count, gst=ab12 ,,");
        assert_eq!(list, [("count".to_owned(), None), ("gst".to_owned(), Some("ab12".to_owned()))]);
    }

    #[test]
    fn the_user_folder_follows_the_base_directories() {
        let folder = |data: Option<&str>, home: Option<&str>| user_folder(data.map(OsStr::new), home.map(OsStr::new));
        assert_eq!(folder(Some("/data"), Some("/h")), Some("/data/millstream/plugins".into()));
        assert_eq!(folder(None, Some("/h")), Some("/h/.local/share/millstream/plugins".into()));
        assert_eq!(folder(None, None), None);
    }

    #[test]
    fn a_manifest_has_the_name_of_its_library() {
        assert_eq!(manifest_of(Path::new("a/libcount.so")), Path::new("a/libcount.millstream.json"));
    }
}
