//! What may go wrong with a server, and who has to do something about it.

use crate::stun::{Message, attr};

/// Longest reason of a server that is told on.
const MAX_REASON: usize = 120;

/// Who has to do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// Whoever has written the URL, name and password.
    Settings,
    /// Whoever runs the server.
    Server,
    /// Whatever is between here and there.
    Network,
}

/// Why a server is of no use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing came back.
    #[error("it does not answer")]
    Silent,
    /// The system says that nobody is there, or there is no way.
    #[error("it is not reached: {0}")]
    Unreachable(String),
    /// A name and password are needed, and none are there (401).
    #[error("it wants a user name and a password (401)")]
    Wanted,
    /// Name or password are wrong, or are good no more (401 to a signed request).
    #[error("it refuses the user name or the password (401)")]
    Unauthorized,
    /// The user has as many allocations as may be (486).
    #[error("it gives this user no further relay (486)")]
    Quota,
    /// There is no further relay for anybody (508).
    #[error("it has no further relay (508)")]
    Full,
    /// It sends to another server (300), where this client does not go.
    #[error("it sends to another server (300)")]
    Elsewhere,
    /// The relay is gone (437).
    #[error("it has lost the relay (437)")]
    Lost,
    /// It refuses for another reason.
    #[error("it refuses: {code} {reason}")]
    Refused {
        /// ERROR-CODE (RFC 8489, 14.8).
        code: u16,
        /// What the server says.
        reason: String,
    },
    /// It answers something that the standard does not allow.
    #[error("its answer is none: {0}")]
    Malformed(&'static str),
}

impl ClientError {
    /// The error of a response, to a request that was signed or not.
    pub(super) fn of(message: &Message<'_>, signed: bool) -> Self {
        let Some((code, reason)) = error_code(message) else { return Self::Malformed("an error without a code") };
        match code {
            300 => Self::Elsewhere,
            401 if signed => Self::Unauthorized,
            401 => Self::Wanted,
            437 => Self::Lost,
            486 => Self::Quota,
            508 => Self::Full,
            _ => Self::Refused { code, reason },
        }
    }

    /// Who has to do something.
    pub fn party(&self) -> Party {
        match self {
            Self::Silent | Self::Unreachable(_) => Party::Network,
            Self::Wanted | Self::Unauthorized | Self::Elsewhere => Party::Settings,
            Self::Quota | Self::Full | Self::Lost | Self::Refused { .. } | Self::Malformed(_) => Party::Server,
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Silent => {
                "look whether the address and port are right, and whether a firewall lets UDP pass; `?transport=tcp` may"
            }
            Self::Unreachable(_) => "look whether the server runs, at this address and port",
            Self::Wanted => "give `username` and `credential`",
            Self::Unauthorized => "look at `username` and `credential`; those that hold for a time may be over",
            Self::Elsewhere => "write the URL of that other server",
            Self::Quota => "raise the user's quota at the server, or use another user",
            Self::Full => "raise the quota or the range of ports at the server",
            Self::Lost => "the server was restarted, or the address of this machine is another now; it is asked again",
            Self::Refused { .. } | Self::Malformed(_) => "look into the log of the server",
        }
    }
}

/// ERROR-CODE (RFC 8489, 14.8): class and number, then a text.
pub(super) fn error_code(message: &Message<'_>) -> Option<(u16, String)> {
    let value = message.get(attr::ERROR_CODE)?;
    let (head, reason) = value.split_at_checked(4)?;
    let code = u16::from(head[2] & 7) * 100 + u16::from(head[3]);
    // It goes to logs and terminals.
    let plain =
        String::from_utf8_lossy(reason).chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect();
    Some((code, plain))
}
