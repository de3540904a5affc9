//! Manifests: what is known of a plugin without running it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use millstream_core::settings::SettingsDecl;
use millstream_core::{Blocking, CapsSet, Direction, PadTemplate, Presence, TimeDelta};
use schemars::Schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intern::intern;

/// End of the name of a manifest's file; before it stands any name.
pub const SUFFIX: &str = ".millstream.json";
/// The form of manifests that we read.
const FORMAT: u32 = 1;
/// Largest manifest that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A manifest. Fields that we do not know are left alone: those of newer ones only add.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// 1.
    pub millstream_plugin: u32,
    /// Name of the plugin.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Its licence, as SPDX writes it.
    #[serde(default)]
    pub licence: String,
    /// The ABI that it needs, as `1.0`.
    pub abi: String,
    /// File name of the library, in the folder of the manifest. Empty in what the library itself says.
    #[serde(default)]
    pub library: String,
    /// Its elements.
    #[serde(default)]
    pub elements: Vec<ElementManifest>,
    /// What it says of elements that are known only on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<Dynamic>,
}

/// Elements that are known only on the machine: the plugin is asked in a process of its own, and what it says is kept as long as nothing in
/// `stamp` changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dynamic {
    /// How the names of these elements begin, such as `gst/`.
    pub prefix: String,
    /// Whether a name that no element has means the one of that name behind the prefix.
    #[serde(default)]
    pub aliases: bool,
    /// Files and folders whose change makes another list; `${NAME}` stands for a variable of the environment.
    #[serde(default)]
    pub stamp: Vec<String>,
}

/// An element in a manifest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ElementManifest {
    /// Name in pipelines.
    pub name: String,
    /// GStreamer's classification.
    #[serde(default)]
    pub class: String,
    /// What it does, one line.
    #[serde(default)]
    pub summary: String,
    /// What else a user should know.
    #[serde(default)]
    pub details: String,
    /// A launch line that shows it.
    #[serde(default)]
    pub example: String,
    /// `none`, `io` or `compute`.
    #[serde(default)]
    pub blocking: Blocks,
    /// What comes in goes out with the same caps.
    #[serde(default)]
    pub passthrough: bool,
    /// How much later its output comes than its input, in nanoseconds.
    #[serde(default)]
    pub latency: i64,
    /// Whether it cannot be held back, as a source.
    #[serde(default)]
    pub live: Live,
    /// An input that fails is one that is absent.
    #[serde(default)]
    pub survives_lost_inputs: bool,
    /// It may be linked on one side only.
    #[serde(default)]
    pub open_ended: bool,
    /// Element of the manifest that it and neighbours of its kind become.
    #[serde(default)]
    pub joined: String,
    /// Its pads.
    #[serde(default)]
    pub pads: Vec<PadManifest>,
    /// JSON Schema of its settings.
    #[serde(default)]
    pub settings: Value,
}

/// What calls do to their thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blocks {
    /// Nothing.
    #[default]
    None,
    /// They wait for files.
    Io,
    /// They burn processor time.
    Compute,
}

/// When a source is live.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Live {
    /// Always or never.
    Always(bool),
    /// When this property is true.
    Property(String),
}

impl Default for Live {
    fn default() -> Self {
        Self::Always(false)
    }
}

/// A pad in a manifest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PadManifest {
    /// Name or pattern.
    pub name: String,
    /// `sink` or `src`.
    pub direction: Way,
    /// `always`, `sometimes` or `request`.
    #[serde(default)]
    pub presence: When,
    /// What it accepts or may offer.
    #[serde(default = "any")]
    pub caps: String,
    /// See [`PadTemplate::random_write`].
    #[serde(default)]
    pub random_write: bool,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

fn any() -> String {
    "ANY".to_owned()
}

/// Direction of a pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in Direction")]
pub enum Way {
    Sink,
    Src,
}

/// When a pad exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "as in Presence")]
pub enum When {
    #[default]
    Always,
    Sometimes,
    Request,
}

impl Manifest {
    /// Reads a manifest file.
    ///
    /// # Errors
    /// What is wrong with it, in words that go on from "the manifest".
    pub fn read(path: &Path) -> Result<Self, String> {
        let len = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?.len();
        if len > MAX_BYTES {
            return Err(format!("has {len} bytes, which is too much"));
        }
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}"))?;
        Self::parse(&text)
    }

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|e| format!("is faulty: {e}"))?;
        if manifest.millstream_plugin != FORMAT {
            return Err(format!("is of form {}, and this millstream reads form {FORMAT}", manifest.millstream_plugin));
        }
        if manifest.library.contains(['/', '\\']) {
            return Err("names a library in another folder".to_owned());
        }
        manifest.elements.iter().try_for_each(ElementManifest::check)?;
        Ok(manifest)
    }

    /// Major and minor of the ABI that the plugin needs.
    #[must_use]
    pub fn abi(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.abi.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// True when both say the same of the plugin. The library does not know its file name.
    #[must_use]
    pub fn agrees(&self, library: &Self) -> bool {
        Self { library: String::new(), ..self.clone() } == Self { library: String::new(), ..library.clone() }
    }
}

impl ElementManifest {
    /// Whether it can be made an element of.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.contains(char::is_whitespace) {
            return Err(format!("has an element named `{}`", self.name));
        }
        for pad in &self.pads {
            if let Err(error) = pad.caps.parse::<CapsSet>() {
                return Err(format!("has a fault in the caps of `{}.{}`: {error}", self.name, pad.name));
            }
        }
        match &self.settings {
            Value::Null | Value::Object(_) => Ok(()),
            _ => Err(format!("has settings of `{}` that are no JSON Schema", self.name)),
        }
    }

    pub(crate) fn blocking(&self) -> Blocking {
        match self.blocking {
            Blocks::None => Blocking::None,
            Blocks::Io => Blocking::Io,
            Blocks::Compute => Blocking::Compute,
        }
    }

    pub(crate) fn latency(&self) -> TimeDelta {
        TimeDelta::from_nanos(self.latency)
    }

    pub(crate) fn pads(&self) -> Vec<PadTemplate> {
        self.pads.iter().filter_map(PadManifest::template).collect()
    }

    /// The declaration of the settings. The same schema is kept once.
    pub(crate) fn settings(&self) -> SettingsDecl {
        static SCHEMAS: Mutex<Option<HashMap<String, SettingsDecl>>> = Mutex::new(None);
        let schema = match &self.settings {
            Value::Object(_) => self.settings.clone(),
            _ => serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        };
        let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = schemas.get_or_insert_default().entry(schema.to_string());
        *kept.or_insert_with(|| {
            let schema: Schema = schema.try_into().unwrap_or_default();
            SettingsDecl::dynamic(Box::leak(Box::new(schema)))
        })
    }
}

impl PadManifest {
    fn template(&self) -> Option<PadTemplate> {
        Some(PadTemplate {
            name: intern(&self.name),
            direction: match self.direction {
                Way::Sink => Direction::Sink,
                Way::Src => Direction::Src,
            },
            presence: match self.presence {
                When::Always => Presence::Always,
                When::Sometimes => Presence::Sometimes,
                When::Request => Presence::Request,
            },
            caps: self.caps.parse().ok()?,
            random_write: self.random_write,
            doc: intern(&self.description),
        })
    }
}
