//! Messages of STUN and TURN (RFC 8489, RFC 8656), and channel data.
//!
//! | module | what |
//! | --- | --- |
//! | `message` | a message that came in |
//! | `writer` | one that goes out |
//! | `address` | addresses, XORed |
//! | `channel` | data on a channel, and framing on TCP |

mod address;
mod channel;
mod message;
mod writer;

pub use channel::{CHANNELS, ChannelData, frame_len, write_channel};
pub use message::{Message, StunError};
pub use writer::Writer;

/// RFC 8489, 5.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What FINGERPRINT is XORed with (RFC 8489, 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// Bytes of a header.
pub const HEADER: usize = 20;

/// What a message is about (RFC 8489, 18.1; RFC 8656, 17).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names of the standards")]
pub enum Method {
    Binding = 0x001,
    Allocate = 0x003,
    Refresh = 0x004,
    Send = 0x006,
    Data = 0x007,
    CreatePermission = 0x008,
    ChannelBind = 0x009,
}

impl Method {
    fn of(bits: u16) -> Option<Self> {
        let all = [
            Self::Binding,
            Self::Allocate,
            Self::Refresh,
            Self::Send,
            Self::Data,
            Self::CreatePermission,
            Self::ChannelBind,
        ];
        all.into_iter().find(|method| *method as u16 == bits)
    }
}

/// Whether a message asks, tells or answers (RFC 8489, 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of the standard")]
pub enum Class {
    Request = 0b00,
    Indication = 0b01,
    Success = 0b10,
    Error = 0b11,
}

/// Types of attributes (RFC 8489, 18.3; RFC 8656, 18; RFC 5780, 7).
#[allow(missing_docs, reason = "the names of the standards")]
pub mod attr {
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const CHANGE_REQUEST: u16 = 0x0003;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    pub const CHANNEL_NUMBER: u16 = 0x000C;
    pub const LIFETIME: u16 = 0x000D;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const EVEN_PORT: u16 = 0x0018;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const DONT_FRAGMENT: u16 = 0x001A;
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    pub const PASSWORD_ALGORITHM: u16 = 0x001D;
    pub const USERHASH: u16 = 0x001E;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const RESERVATION_TOKEN: u16 = 0x0022;
    pub const SOFTWARE: u16 = 0x8022;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const RESPONSE_ORIGIN: u16 = 0x802B;
    pub const OTHER_ADDRESS: u16 = 0x802C;
}

/// Method and class in the first 14 bits (RFC 8489, 5, figure 3).
///
/// ```text
/// M11 M10 M9 M8 M7 C1 M6 M5 M4 C0 M3 M2 M1 M0
/// ```
fn type_bits(method: Method, class: Class) -> u16 {
    let (m, c) = (method as u16, class as u16);
    (m & 0x0F) | (m & 0x70) << 1 | (m & 0xF80) << 2 | (c & 1) << 4 | (c & 2) << 7
}

fn split_type(bits: u16) -> (u16, Class) {
    let method = (bits & 0x0F) | (bits & 0xE0) >> 1 | (bits & 0x3E00) >> 2;
    let class = match (bits & 0x10 != 0, bits & 0x100 != 0) {
        (false, false) => Class::Request,
        (true, false) => Class::Indication,
        (false, true) => Class::Success,
        (true, true) => Class::Error,
    };
    (method, class)
}
