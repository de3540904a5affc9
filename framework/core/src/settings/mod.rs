//! Settings of elements: one serde struct each, filled from YAML, launch text or JSON with positions.
//!
//! A reader of text (in `millstream-graph`) makes a tree of [`Node`]s, each with its [`Span`]. [`NodeDeserializer`]
//! fills a settings struct from it and keeps the innermost position of an error ([`SettingsError`]).
//! [`SettingsDecl`] is what a factory holds: it parses, gives the JSON Schema and lists the [`Property`]s, all from the
//! same struct.
//!
//! ```
//! use millstream_core::settings::{Node, SettingsDecl};
//!
//! #[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
//! struct FakeSrcSettings {
//!     /// Number of buffers to make; -1 for no end.
//!     num_buffers: i64,
//! }
//!
//! let decl = SettingsDecl::of::<FakeSrcSettings>();
//! let parsed = decl.parse(&Node::map([("num-buffers", Node::scalar("12"))]))?;
//! assert_eq!(parsed.downcast::<FakeSrcSettings>().map(|s| s.num_buffers).ok(), Some(12));
//! assert_eq!(decl.properties()[0].description, "Number of buffers to make; -1 for no end.");
//! # Ok::<(), millstream_core::settings::SettingsError>(())
//! ```

mod check;
mod de;
mod decl;
mod dynamic;
mod error;
mod node;
mod props;
pub mod units;

pub use de::NodeDeserializer;
pub use decl::{AnySettings, SettingsDecl};
pub use error::{SettingsError, SettingsErrorKind};
pub use node::{Key, Node, NodeKind, Span};
pub use props::{EnumValue, Property};
