//! What players of a stream share: messages that were chunked once, in a feed.

use bytes::Bytes;
use millstream_flv::live::{CLEARED_METADATA, Class, FeedEntry, Head, Wire, classify, is_disposable};
use millstream_flv::wire::TagKind;

use crate::chunk::{SharedChunks, chunk_once};
use crate::message::Message;
use crate::session::server::ServerSession;
use crate::session::{DEFAULT_CHUNK_SIZE, Media, MediaKind};

/// The message stream that nearly every player has: what is chunked once is chunked for this one.
pub(super) const COMMON_STREAM: u32 = 1;

/// A stream that players follow.
pub(crate) type Feed = millstream_flv::live::Feed<Entry>;
/// Where a player is in it.
pub(crate) type Cursor = millstream_flv::live::Cursor<Entry>;

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Audio or video.
    Media(Media),
    /// A script body, and its time in milliseconds.
    Data(u32, Bytes),
}

impl Content {
    /// What it is as a tag of FLV.
    pub(crate) fn kind(&self) -> TagKind {
        match self {
            Self::Media(media) => match media.kind {
                MediaKind::Audio => TagKind::Audio,
                MediaKind::Video => TagKind::Video,
            },
            Self::Data(..) => TagKind::Script,
        }
    }

    /// Its body.
    pub(crate) fn body(&self) -> &Bytes {
        match self {
            Self::Media(media) => &media.payload,
            Self::Data(_, body) => body,
        }
    }

    pub(crate) fn timestamp(&self) -> u32 {
        match self {
            Self::Media(media) => media.timestamp,
            Self::Data(timestamp, _) => *timestamp,
        }
    }

    /// The same at another time.
    pub(crate) fn at(&self, timestamp: u32) -> Self {
        match self {
            Self::Media(media) => Self::Media(Media { timestamp, ..media.clone() }),
            Self::Data(_, body) => Self::Data(timestamp, body.clone()),
        }
    }

    /// The same, of the bytes of its only chunk where that was gathered, so that what it was read from need not be kept too.
    fn within(self, chunks: &SharedChunks) -> Self {
        let [gathered] = chunks.slices() else { return self };
        let Some(body) = gathered.len().checked_sub(self.body().len()).map(|header| gathered.slice(header..)) else {
            return self;
        };
        match self {
            // In several chunks there are headers between.
            content if *content.body() != body => content,
            Self::Media(media) => Self::Media(Media { payload: body, ..media }),
            Self::Data(timestamp, _) => Self::Data(timestamp, body),
        }
    }

    /// The message for a player's stream.
    pub(crate) fn message(&self, stream: u32) -> Message {
        match self {
            Self::Media(media) => ServerSession::media_message(stream, media),
            Self::Data(timestamp, body) => ServerSession::data_message(stream, *timestamp, body.clone()),
        }
    }
}

/// A message in the ring.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    /// For [`COMMON_STREAM`] and the default chunk size.
    pub(crate) chunks: SharedChunks,
    class: Class,
}

impl Entry {
    pub(crate) fn new(content: Content) -> Self {
        let chunks = chunk_once(&content.message(COMMON_STREAM), DEFAULT_CHUNK_SIZE);
        let class = classify(content.kind(), content.body());
        let content = content.within(&chunks);
        Self { content, chunks, class }
    }
}

impl Entry {
    /// Whether it is `onMetaData`.
    pub(crate) fn is_metadata(&self) -> bool {
        self.class == Class::Head(Head::MetaData)
    }
}

impl Wire for Entry {
    fn wire(&self) -> &[Bytes] {
        self.chunks.slices()
    }
}

impl FeedEntry for Entry {
    fn class(&self) -> Class {
        self.class
    }

    fn kind(&self) -> TagKind {
        self.content.kind()
    }

    fn timestamp(&self) -> u32 {
        self.content.timestamp()
    }

    fn is_disposable(&self) -> bool {
        is_disposable(self.content.kind(), self.content.body())
    }

    fn size(&self) -> usize {
        self.content.body().len()
    }

    fn clears(&self) -> bool {
        self.content.body() == CLEARED_METADATA
    }

    fn at(&self, timestamp: u32) -> Self {
        Self::new(self.content.at(timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(len: usize) -> Entry {
        let payload = Bytes::from(vec![0xAF; 64 << 10]).slice(..len);
        Entry::new(Content::Media(Media { kind: MediaKind::Audio, timestamp: 7, payload }))
    }

    #[test]
    fn what_is_kept_of_a_small_message_is_its_chunk_and_not_the_block_it_was_read_into() {
        let entry = body_of(300);
        let [chunk] = entry.chunks.slices() else { panic!("{:?}", entry.chunks) };
        assert_eq!(entry.content.body(), &chunk[chunk.len() - 300..]);
        assert!(chunk.as_ptr_range().contains(&entry.content.body().as_ptr()));
    }

    #[test]
    fn a_large_message_shares_the_block_it_was_read_into() {
        let entry = body_of(5000);
        let [_, shared] = entry.chunks.slices() else { panic!("{:?}", entry.chunks) };
        assert_eq!((entry.content.body().as_ptr(), entry.content.body().len()), (shared.as_ptr(), 5000));
    }
}
