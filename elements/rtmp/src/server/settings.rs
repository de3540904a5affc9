//! Settings of elements that share a listener, declared once.

/// Declares a settings struct with those of a listener behind its own, and `fn limits(&self) -> Limits`. The macro behind `in`
/// declares the struct: [`declare`], or one that adds settings of its own.
macro_rules! listener_settings {
    (in $declare:ident! $(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $declare! {
            $(#[$meta])*
            pub struct $name {
                $($own)*
                /// Most connections at this address, 20000 in any case. Elements of one address share the listener: the narrowest of
                /// their limits holds, here and below.
                #[serde(default)]
                pub max_connections: Option<u32>,
                /// Most connections from one IP address. Clients behind one router share one.
                #[serde(default)]
                pub max_connections_per_address: Option<u32>,
                /// Longest message that is taken, 16 MiB in any case: a picture with its header. A client that announces a longer one is
                /// closed.
                #[serde(default)]
                pub max_message_size: Option<millstream_core::settings::units::ByteSize>,
                /// Most bytes of a connection's messages that are not whole yet, 32 MiB in any case.
                #[serde(default)]
                pub max_unread: Option<millstream_core::settings::units::ByteSize>,
                /// How long the handshake of a client may take, 10 s in any case.
                #[serde(default)]
                pub handshake_timeout: Option<millstream_core::settings::units::DurationSetting>,
            }
        }

        impl $name {
            fn limits(&self) -> $crate::server::limits::Limits {
                $crate::server::limits::Limits {
                    connections: self.max_connections,
                    per_address: self.max_connections_per_address,
                    message: self.max_message_size,
                    unread: self.max_unread,
                    handshake: self.handshake_timeout,
                }
            }
        }
    };
}

/// Declares what it is given.
macro_rules! declare {
    ($($item:tt)*) => { $($item)* };
}

pub(crate) use {declare, listener_settings};
