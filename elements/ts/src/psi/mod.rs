//! Program specific information: sections, the tables PAT and PMT, and their descriptors. ISO/IEC 13818-1:2023, 2.4.4.

mod assembler;
mod codec;
mod crc;
mod descriptor;
mod pat;
mod pmt;
mod section;

pub use assembler::{Fault, SectionAssembler};
pub use codec::{Codec, StreamClass};
pub use crc::crc32;
pub use descriptor::{Descriptor, Descriptors, opus_channels, tag};
pub use pat::{Pat, PatProgram};
pub use pmt::{Pmt, PmtStream};
pub use section::{MAX_PRIVATE_SECTION, MAX_PSI_SECTION, Section, packetize_section};
