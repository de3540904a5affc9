//! The FLV format itself, free of sockets, clocks, tasks and of the framework.
//!
//! Reading: [`FlvReader`] cuts pushed bytes into [`Tag`]s; [`parse_audio`], [`parse_video`] and [`parse_script`] take a body apart.
//! Writing: [`write_audio_header`], [`write_video_header`] and [`MetaData`] make bodies, [`FlvWriter`] makes files of them.
//! RTMP messages carry the same bodies.

mod audio;
mod channels;
mod codec;
mod color;
mod cursor;
mod error;
mod file_header;
mod index;
mod input;
mod metadata;
mod modex;
mod multitrack;
mod packet;
mod reader;
mod script;
mod slices;
mod tag;
mod timestamp;
mod video;
mod writer;

pub use audio::{AudioTag, SoundFlags, parse_audio, write_audio_header, write_audio_tracks};
pub use channels::MultichannelConfig;
pub use codec::{AudioCodec, FourCc, VideoCodec};
pub use color::{ColorInfo, ColorUpdate, MasteringDisplay, parse_color_info, write_color_info};
pub use error::{BodyError, EncodeError, FlvError};
pub use file_header::FileHeader;
pub use index::add_index;
pub use metadata::{Keyframes, MetaData, ON_META_DATA};
pub use multitrack::MultitrackType;
pub use packet::{AudioPacket, HeaderForm, PacketKind, Packets, TrackPacket, VideoPacket};
pub use reader::{DropReason, Dropped, FlvReader, ReaderStats};
pub use script::{ScriptTag, parse_script, write_script};
pub use slices::Slices;
pub use tag::{Tag, TagHeader, TagKind};
pub use timestamp::TimestampUnwrapper;
pub use video::{VideoCommand, VideoTag, parse_video, write_video_header, write_video_tracks};
pub use writer::{FlvWriter, KeyframeIndex, MetaDataSlot};
