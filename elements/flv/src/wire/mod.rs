//! The FLV format itself, free of sockets, clocks, tasks and of the framework.
//!
//! Reading: [`FlvReader`] cuts pushed bytes into [`Tag`]s; [`parse_audio`] and [`parse_video`] cut a tag body into packets of tracks.

mod audio;
mod channels;
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
mod timestamp;
mod video;

pub use audio::{AudioTag, SoundFlags, parse_audio, write_audio_header, write_audio_tracks};
pub use channels::MultichannelConfig;
pub use codec::{AudioCodec, FourCc, VideoCodec};
pub use error::{BodyError, EncodeError, FlvError};
pub use file_header::FileHeader;
pub use multitrack::MultitrackType;
pub use packet::{AudioPacket, HeaderForm, PacketKind, Packets, TrackPacket, VideoPacket};
pub use reader::{DropReason, Dropped, FlvReader, ReaderStats};
pub use tag::{Tag, TagHeader, TagKind};
pub use timestamp::TimestampUnwrapper;
pub use video::{VideoCommand, VideoTag, parse_video, write_video_header, write_video_tracks};
