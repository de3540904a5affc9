//! Loading a library: looked at before, checked after, never unloaded.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use millstream_plugin_abi as abi;
use millstream_plugin_abi::{Str, has_field, status};

use crate::elf;
use crate::intern::intern;
use crate::manifest::Manifest;

/// Why a plugin is not used, in one line: the file, what it needs, what we have, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// The file.
    pub file: PathBuf,
    /// What is wrong: what it needs and what we have.
    pub reason: String,
    /// What to do.
    pub advice: String,
}

impl Refused {
    pub(crate) fn new(file: &Path, reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { file: file.to_owned(), reason: reason.into(), advice: advice.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: {}; {}", self.file.display(), self.reason, self.advice)
    }
}

/// A loaded plugin.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    plugin: &'static abi::Plugin,
    factory: &'static abi::Factory,
}

/// By what a newer build is told from the one that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Self { len: meta.len(), modified: meta.modified().ok(), inode })
    }
}

type Loaded = HashMap<PathBuf, Vec<(Stamp, Arc<Library>)>>;

/// What this process has loaded, by path. One lock, because loaders have one too.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// What to do about a library that is not right.
const REBUILD: &str = "build or copy it again";

impl Library {
    /// The library of a path, loaded if it is not yet, or has been built anew since. Its manifest is held against `manifest`.
    ///
    /// # Errors
    /// Why it is not used.
    pub(crate) fn open(path: &Path, manifest: Option<&Manifest>) -> Result<Arc<Self>, Refused> {
        let unreadable = |e: std::io::Error| Refused::new(path, format!("it cannot be read: {e}"), REBUILD);
        let path = path.canonicalize().map_err(unreadable)?;
        let stamp = Stamp::of(&path).map_err(unreadable)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let builds = loaded.get_or_insert_default().entry(path.clone()).or_default();
        if let Some((_, library)) = builds.iter().find(|(of, _)| *of == stamp) {
            return Ok(library.clone());
        }
        elf::fault(&path).map_err(|fault| Refused::new(&path, fault, REBUILD))?;
        // The loader knows libraries by their path, and would give the older build again.
        let copy = if builds.is_empty() { None } else { Some(private_copy(&path).map_err(unreadable)?) };
        let library = Self::load(copy.as_deref().unwrap_or(&path), &path).map(Arc::new);
        if let Some(copy) = copy {
            // Where the system keeps files that are loaded, it stays.
            let _ = std::fs::remove_file(copy);
        }
        let library = library?;
        if let Some(manifest) = manifest {
            library.check_manifest(manifest)?;
        }
        library.init()?;
        builds.push((stamp, library.clone()));
        Ok(library)
    }

    /// `file` is what is loaded, `path` what it is known by.
    fn load(file: &Path, path: &Path) -> Result<Self, Refused> {
        // SAFETY: loading runs the library's initialisers, which is what a user who installs a plugin asks for.
        let library = unsafe { libloading::Library::new(file) };
        let library = library.map_err(|e| {
            let reason = format!("the system does not load it: {}", one_line(&e));
            Refused::new(path, reason, "install what it misses, or build it for this system")
        })?;
        // SAFETY: of what type the symbol is, its magic says; it is read as a number first.
        let symbol = unsafe { library.get::<*const abi::Plugin>(abi::SYMBOL) }.map(|symbol| *symbol);
        let no_plugin = || {
            let reason = "it is a library, but no millstream plugin (no symbol `millstream_plugin`)";
            Refused::new(path, reason, "take it out of the plugin path, or export the plugin")
        };
        let plugin = symbol.map_err(|_| no_plugin())?;
        // Never unloaded: threads, buffers and constants of a plugin may outlive all its elements.
        std::mem::forget(library);
        // SAFETY: the symbol is there as long as the library, which is for ever.
        let plugin = unsafe { checked(plugin) }.map_err(|fault| fault.map_or_else(no_plugin, |f| f.refused(path)))?;
        let bad =
            |what: &str| Refused::new(path, what, "tell the plugin's author: `millstream plugins check` shows it");
        // SAFETY: text of the plugin, which is there for ever.
        let name = unsafe { plugin.name.get() }.ok_or_else(|| bad("its name is no text"))?;
        let Some(get_factory) = plugin.get_factory else { return Err(bad("it has no `get_factory`")) };
        // SAFETY: a function of the plugin, called as the ABI says.
        let factory = unsafe { get_factory(Str::new(abi::FACTORY_ID)) }.cast::<abi::Factory>();
        // SAFETY: null or a factory that is there for ever.
        let factory =
            unsafe { factory.as_ref() }.ok_or_else(|| bad("it has no elements (`get_factory` gives null)"))?;
        if !has_field!(factory.size, abi::Factory, create) || factory.create.is_none() || factory.manifest.is_none() {
            return Err(bad("its factory is too small, or misses `create` or `manifest`"));
        }
        Ok(Self { name: intern(name), path: path.to_owned(), plugin, factory })
    }

    fn init(&self) -> Result<(), Refused> {
        let Some(init) = self.plugin.init else { return Ok(()) };
        let path = self.path.to_string_lossy();
        // SAFETY: a function of the plugin, called as the ABI says: once, under the lock of all that is loaded.
        match unsafe { init(Str::new(&path)) } {
            status::OK => Ok(()),
            other => {
                let reason = format!("it could not be initialised (`init` gave back {other})");
                Err(Refused::new(&self.path, reason, "look at the log for what it says"))
            }
        }
    }

    /// The manifest as the library itself has it.
    pub(crate) fn manifest_text(&self) -> Option<&'static str> {
        let manifest = self.factory.manifest?;
        // SAFETY: a function of the plugin, called as the ABI says; its text is there as long as the plugin.
        unsafe { manifest(self.factory).get() }
    }

    fn check_manifest(&self, file: &Manifest) -> Result<(), Refused> {
        let advice = format!("write it anew: `millstream plugins manifest {}`", self.path.display());
        let own = self.manifest_text().ok_or("is no text".to_owned()).and_then(Manifest::parse);
        match own {
            Ok(own) if file.agrees(&own) => Ok(()),
            Ok(_) => Err(Refused::new(&self.path, "the manifest beside it is of another build", advice)),
            Err(fault) => Err(Refused::new(&self.path, format!("what it says of itself {fault}"), advice)),
        }
    }

    /// All elements that are known only on the machine, as a JSON list.
    pub(crate) fn elements(&self) -> Option<&'static str> {
        let known = has_field!(self.factory.size, abi::Factory, elements);
        let elements = self.factory.elements.filter(|_| known)?;
        // SAFETY: as in `manifest_text`.
        unsafe { elements(self.factory).get() }
    }

    /// One element that is known only on the machine.
    pub(crate) fn describe(&self, name: &str) -> Option<&'static str> {
        let known = has_field!(self.factory.size, abi::Factory, describe);
        let describe = self.factory.describe.filter(|_| known)?;
        // SAFETY: as in `manifest_text`.
        unsafe { describe(self.factory, Str::new(name)).get() }.filter(|text| !text.is_empty())
    }

    /// Makes an element.
    ///
    /// # Safety
    /// `host` stays as long as the element, `from` during the call.
    pub(crate) unsafe fn create(&self, host: *const abi::Host, from: *const abi::Create) -> *mut abi::Element {
        match self.factory.create {
            // SAFETY: promised by the caller.
            Some(create) => unsafe { create(self.factory, host, from) },
            None => std::ptr::null_mut(),
        }
    }

    /// An element did not return in time and is left behind, with its thread.
    pub(crate) fn left_behind(&self, element: &str) {
        leave_behind(element, self.name, "`stop`");
    }
}

/// Elements that did not return in time.
static LEFT_BEHIND: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) fn leave_behind(element: &str, plugin: &str, call: &str) {
    let text = format!(
        "{element}: the plugin `{plugin}` did not return from {call} in time, and is left behind with its thread"
    );
    tracing::error!("{text}");
    LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

/// Elements that did not return in time when they were stopped, a sentence for each; they are forgotten here.
pub fn left_behind() -> Vec<String> {
    std::mem::take(&mut LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Why a symbol is no plugin for us.
struct OtherAbi(u32, u32);

impl OtherAbi {
    fn refused(&self, path: &Path) -> Refused {
        refuse_abi(path, self.0, self.1)
    }
}

/// The refusal of a plugin that needs another ABI.
pub(crate) fn refuse_abi(path: &Path, major: u32, minor: u32) -> Refused {
    let (own, own_minor) = (abi::ABI_MAJOR, abi::ABI_MINOR);
    let reason = format!("it needs plugin ABI {major}.{minor}, and this millstream has {own}.{own_minor}");
    let advice = match major.cmp(&own) {
        std::cmp::Ordering::Less => format!("get a build of the plugin for ABI {own}"),
        _ => "update millstream, or get an older build of the plugin".to_owned(),
    };
    Refused::new(path, reason, advice)
}

/// Whether a plugin of that ABI loads here.
pub(crate) fn fits(major: u32, minor: u32) -> bool {
    major == abi::ABI_MAJOR && (0..=abi::ABI_MINOR).contains(&minor)
}

/// Checks the exported constant. `Err(None)`: it is none of ours.
///
/// # Safety
/// `plugin` is null or points to a symbol that stays.
unsafe fn checked(plugin: *const abi::Plugin) -> Result<&'static abi::Plugin, Option<OtherAbi>> {
    if plugin.is_null() || !plugin.is_aligned() {
        return Err(None);
    }
    // SAFETY: a symbol is at least a few bytes, and the magic is read first.
    if unsafe { (*plugin).magic } != abi::MAGIC {
        return Err(None);
    }
    // SAFETY: a plugin of any major begins with these fields.
    let (size, major, minor) = unsafe { ((*plugin).size, (*plugin).abi_major, (*plugin).abi_minor) };
    if !fits(major, minor) {
        return Err(Some(OtherAbi(major, minor)));
    }
    if !has_field!(size, abi::Plugin, get_factory) {
        return Err(None);
    }
    // SAFETY: of our major, and as large as ours.
    Ok(unsafe { &*plugin })
}

/// A copy under a name that no loader has seen. It may be deleted once it is loaded, where the system lets us.
fn private_copy(path: &Path) -> std::io::Result<PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let copy = std::env::temp_dir().join(format!("millstream-{}-{number}-{name}", std::process::id()));
    let mut from = std::fs::File::open(path)?;
    let mut to = std::fs::File::options().write(true).create_new(true).open(&copy)?;
    std::io::copy(&mut from, &mut to)?;
    Ok(copy)
}

fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().collect::<Vec<_>>().join(" ")
}
