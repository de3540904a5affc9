//! Settings of elements that serve players, declared once.

use millstream_core::settings::units::{ByteSize, DurationSetting};

use crate::access::AccessSettings;

/// What an element that serves players was told.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayerSettings {
    /// Who joins begins with the group of pictures that has begun.
    pub gop_cache: bool,
    /// Most bytes that wait for slow players.
    pub backlog_size: ByteSize,
    /// How far a player may fall behind.
    pub backlog: DurationSetting,
    /// How long sound may wait for the next picture.
    pub audio_hold: DurationSetting,
    /// How much is gathered for one write.
    pub batch_window: DurationSetting,
    /// Timestamps begin anew behind a break.
    pub restart_timestamps: bool,
    /// Who may play.
    pub access: AccessSettings,
}

/// Declares a settings struct with these settings behind its own, and `fn players(&self) -> PlayerSettings`. The crate needs `millstream-core`,
/// `serde` and `schemars`.
#[macro_export]
macro_rules! player_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($own)*
            /// Gives players that join the group of pictures that has begun, so that they see something at once. Without it they wait for the
            /// next key frame.
            #[serde(default = "millstream_server::players::yes")]
            pub gop_cache: bool,
            /// Most bytes that wait for slow players, and that the group of pictures may have.
            #[serde(default = "millstream_server::players::backlog_size")]
            pub backlog_size: millstream_core::settings::units::ByteSize,
            /// How far a player may fall behind before it goes on at the newest key frame.
            #[serde(default = "millstream_server::players::backlog")]
            pub backlog: millstream_core::settings::units::DurationSetting,
            /// How long sound may wait to be sent together with the next picture, which halves the number of writes. 0 sends it at once.
            #[serde(default = "millstream_server::players::audio_hold")]
            pub audio_hold: millstream_core::settings::units::DurationSetting,
            /// How much is gathered, by time of arrival, before players are given it in one write: 350ms costs a third of the processor time,
            /// and as much delay. 0 gives it as it comes; what comes while a player is being written to rides along in any case.
            #[serde(default)]
            pub batch_window: millstream_core::settings::units::DurationSetting,
            /// Begins timestamps at 0 again when the publisher has come back, as servers do that know nothing of the one before. Without it the
            /// players go on, on one timeline.
            #[serde(default)]
            pub restart_timestamps: bool,
            /// Keys of who may play, in the query: `?key=SECRET`. A list of keys for every stream, or a mapping from streams to a key or a
            /// list of keys. Without this and `keys-file` none is needed.
            #[serde(default)]
            pub keys: Option<$crate::access::Keys>,
            /// A file with a stream and its key on each line, or a key for every stream. It is read again when it is needed, at most each
            /// second; one that cannot be read then leaves the last good keys in force.
            #[serde(default)]
            pub keys_file: Option<std::path::PathBuf>,
            /// URL that is asked before a client may play, by POST: 2xx allows, everything else refuses, and so does no answer.
            #[serde(default)]
            pub on_play: Option<millstream_core::Secret>,
            /// URL that is told when such a client has ended, in whatever way.
            #[serde(default)]
            pub on_stop: Option<millstream_core::Secret>,
            /// How both are posted to.
            #[serde(default)]
            pub callback_format: $crate::access::CallbackFormat,
            /// How long both may take.
            #[serde(default = "millstream_server::access::default_callback_timeout")]
            pub callback_timeout: millstream_core::settings::units::DurationSetting,
        }

        impl $name {
            /// What concerns players.
            fn players(&self) -> $crate::players::PlayerSettings {
                $crate::players::PlayerSettings {
                    gop_cache: self.gop_cache,
                    backlog_size: self.backlog_size,
                    backlog: self.backlog,
                    audio_hold: self.audio_hold,
                    batch_window: self.batch_window,
                    restart_timestamps: self.restart_timestamps,
                    access: $crate::access::AccessSettings {
                        keys: self.keys.clone(),
                        keys_file: self.keys_file.clone(),
                        on_begin: self.on_play.clone(),
                        on_end: self.on_stop.clone(),
                        format: self.callback_format,
                        timeout: self.callback_timeout,
                    },
                }
            }
        }
    };
}

/// Default of `gop-cache`.
pub fn yes() -> bool {
    true
}

/// Default of `backlog-size`: some seconds of the highest rates that are streamed.
pub fn backlog_size() -> ByteSize {
    ByteSize(16 << 20)
}

/// Default of `backlog`: more than a group of pictures mostly has.
pub fn backlog() -> DurationSetting {
    DurationSetting::from_secs(8)
}

/// Default of `audio-hold`: sound rides with the next of 40 pictures in a second.
pub fn audio_hold() -> DurationSetting {
    DurationSetting::from_millis(25)
}
