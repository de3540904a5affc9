//! The FLV format itself, free of sockets, clocks, tasks and of the framework.
//!
//! Reading: [`FlvReader`] cuts pushed bytes into [`Tag`]s; [`parse_audio`] and [`parse_video`] cut a tag body into packets of tracks.

mod audio;
mod codec;
mod cursor;
mod error;
mod file_header;
mod input;
mod modex;
mod multitrack;
mod packet;
mod reader;
mod tag;
mod video;

pub use audio::{AudioTag, SoundFlags, parse_audio};
pub use codec::{AudioCodec, FourCc, VideoCodec};
pub use error::{BodyError, FlvError};
pub use file_header::FileHeader;
pub use multitrack::MultitrackType;
pub use packet::{AudioPacket, PacketKind, Packets, TrackPacket, VideoPacket};
pub use reader::{DropReason, Dropped, FlvReader, ReaderStats};
pub use tag::{Tag, TagHeader, TagKind};
pub use video::{VideoCommand, VideoTag, parse_video};
