//! MPEG transport stream: packets, tables, PES, the plain structs that read and write whole streams, and the elements on top.
//!
//! Everything below the elements is sans-IO: bytes go in, events or blocks of bytes come out; no socket, clock or task.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | ISO/IEC 13818-1:2023, 2.4.3.2 - 2.4.3.5 | packet, adaptation field, PCR | [`packet`], [`adaptation`], [`timestamp`] |
//! | the same, and packets with a time stamp or error correction | finding them in bytes | [`framer`] |
//! | ISO/IEC 13818-1:2023, 2.4.3.6 - 2.4.3.7 | PES packet | [`pes`] |
//! | ISO/IEC 13818-1:2023, 2.4.4 and 2.6 | sections, PAT, PMT, descriptors | [`psi`] |
//! | ISO/IEC 13818-1:2023, annex A | CRC of sections | [`psi::crc32`] |
//! | ETSI EN 300 468 | descriptors of AC-3, E-AC-3, subtitles | [`psi`] |
//! | ATSC A/52, A/53 | stream types 0x81 and 0x87 | [`psi::Codec`] |
//! | ANSI/SCTE 35 2023 | splice_info_section, read only | [`scte35`] |
//! | Opus in MPEG-TS | control header, descriptors | [`millstream_codec::opus`], [`psi`] |
//! | ETSI TR 101 290 | PCR and PAT/PMT intervals that are kept | [`muxer`] |

pub mod adaptation;
pub mod demuxer;
pub mod elements;
pub mod error;
pub mod framer;
pub mod muxer;
pub mod packet;
pub mod pes;
pub mod psi;
pub mod scte35;
pub mod timestamp;

pub use elements::{TsDemuxSettings, TsMuxSettings, register};
