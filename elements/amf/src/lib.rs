//! Action Message Format: AMF0 and AMF3, reader and writer.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | AMF 0 (Adobe, December 2007) | all types but the reserved MovieClip and RecordSet, and the switch to AMF3 | [`amf0`] |
//! | AMF 3 (Adobe, January 2013) | all types; externalizable objects are refused by class name, as only their class knows their shape | [`amf3`] |
//! | Enhanced RTMP v2, "Action Message Format" | the leading byte of AMF3 messages, the switch that lasts for one value | [`amf0::Reader::for_amf3_message`] |
//!
//! One [`Value`] holds either format. Readers trust nothing: nesting, the number of values and what string references expand
//! to are limited by [`MAX_DEPTH`], [`MAX_VALUES`] and [`MAX_EXPANSION`], and nothing is allocated from a declared count.
//!
//! ```
//! use millstream_amf::{Value, amf0};
//! let mut wire = Vec::new();
//! amf0::write(&Value::from("onMetaData"), &mut wire);
//! amf0::write(&Value::object([("width", Value::from(1920.0))]), &mut wire);
//! let values = amf0::read_all(&wire)?;
//! assert_eq!(values[1].get("width").and_then(Value::as_f64), Some(1920.0));
//! # Ok::<(), millstream_amf::AmfError>(())
//! ```

pub mod amf0;
pub mod amf3;
mod error;
mod source;
mod value;

pub use error::{AmfError, AmfErrorKind};
pub use source::{MAX_DEPTH, MAX_EXPANSION, MAX_VALUES};
pub use value::{Array, Date, Dictionary, EcmaArray, Object, ObjectVector, Properties, Value, Vector};
