//! Names, offsets and sizes of the whole ABI, as the machine has them.
//!
//! `abi.lock` holds them for ABI 1.0 on machines of 64 bits, and a test lets it grow only at the end of each struct; another test
//! compiles a C program that prints the same from the header.

use crate::{
    Buffer, BufferVtable, Create, Element, ErrorRecord, Event, Factory, Host, Inbox, Item, Message, Need, Output, Pad,
    Pair, Peek, Plugin, Produced, Request, Slice, Str,
};

/// A struct of the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struct {
    /// Its name in C.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Name in C, offset and size of each field in order.
    pub fields: Vec<(&'static str, usize, usize)>,
}

macro_rules! structs {
    ($($type:ident = $name:literal { $($field:ident)* })*) => {
        vec![$(Struct {
            name: $name,
            size: size_of::<$type>(),
            fields: vec![$((
                stringify!($field).trim_end_matches('_'),
                core::mem::offset_of!($type, $field),
                crate::size_of_field(|s: &$type| &s.$field),
            )),*],
        }),*]
    };
}

/// Every struct of the ABI.
#[must_use]
pub fn structs() -> Vec<Struct> {
    structs! {
        Str = "ms_str" { ptr len }
        Pair = "ms_pair" { name value }
        Slice = "ms_slice" { data len }
        Buffer = "ms_buffer" { size flags vtable pts dts duration offset slices slice_count }
        BufferVtable = "ms_buffer_vtable" { size reserved ref_ unref map edit make_writable native }
        Event = "ms_event" {
            size kind name language caps format reserved start base offset duration pairs pair_count data data_len epoch
        }
        Request = "ms_request" { size kind bitrate format len to epoch lateness offset }
        ErrorRecord = "ms_error" { size kind message hint property cause offset }
        Message = "ms_message" { size kind error name pairs pair_count time duration bytes offset }
        Host = "ms_host" {
            size abi_minor instance name version get_extension log fail post wake is_cancelled now wall base_time buffer_new caps_new
            caps_ref caps_unref caps_text caps_media caps_get_text caps_get_int caps_get_fraction caps_get_bytes caps_equal
        }
        Output = "ms_output" {
            size src_pads host now push_buffer push_event request wake_at hold_until streams_complete dropped
        }
        Item = "ms_item" { size reserved buffer event }
        Peek = "ms_peek" { size kind time bytes flags reserved }
        Inbox = "ms_inbox" { size pads host pop peek state len }
        Need = "ms_need" { size kind pads until }
        Produced = "ms_produced" { size kind at }
        Element = "ms_element" {
            size shape data start buffer event resume step produce request wake flush drain interrupt stop destroy get_extension
        }
        Plugin = "ms_plugin" { magic size abi_major abi_minor reserved name version licence init deinit get_factory }
        Factory = "ms_factory" { size reserved manifest create elements describe }
        Pad = "ms_pad" { size flags name caps }
        Create = "ms_create" { size live element name settings sinks sink_count srcs src_count }
    }
}

/// The layout as text, a line for each field: the form of the lock file and of the C probe.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    for Struct { name, size, fields } in structs() {
        fields.iter().for_each(|(field, at, len)| text += &format!("{name}.{field} {at} {len}\n"));
        text += &format!("{name} {size}\n");
    }
    text
}
