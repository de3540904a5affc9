//! Settings of elements that connect to a server, declared once.

/// Declares a settings struct that begins with a `location`, with those of a connection behind that, and `fn trust(&self)`.
macro_rules! client_settings {
    ($(#[$meta:meta])* pub struct $name:ident { $(#[$doc:meta])* pub location: String, $($own:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $(#[$doc])*
            pub location: String,
            /// PEM file with the authorities to trust instead of the public ones, for `rtmps://`.
            #[serde(default)]
            pub ca_file: Option<std::path::PathBuf>,
            /// Checks the certificate of an `rtmps://` server. Without it whoever answers gets the stream and its key.
            #[serde(default = "crate::client_settings::yes")]
            pub tls_verify: bool,
            /// Where the server may lead, by a redirect or by asking to move; `public` when left out. Nothing but `any` leads away from TLS.
            #[serde(default)]
            pub redirect: millstream_server::redirect::Redirects,
            /// How long the server may take to be reached.
            #[serde(default = "crate::client_settings::default_timeout")]
            pub timeout: millstream_core::settings::units::DurationSetting,
            $($own)*
        }

        impl $name {
            fn trust(&self) -> millstream_core::Result<$crate::tls::Trust> {
                $crate::tls::Trust::new(self.ca_file.as_deref(), self.tls_verify)
            }
        }
    };
}

use millstream_core::settings::units::DurationSetting;

pub(crate) use client_settings;

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn default_timeout() -> DurationSetting {
    DurationSetting::from_secs(10)
}
