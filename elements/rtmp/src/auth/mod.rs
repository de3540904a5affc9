//! Authentication of publishers as Adobe's and Limelight's servers ask for it; client only.
//!
//! A server refuses `connect` with a description for the client to read. The client closes the connection, connects again with more
//! behind the application's name, and a second time with the answer to a challenge:
//!
//! ```text
//! 1  live                                → [ code=403 need auth; authmod=adobe ]
//! 2  live?authmod=adobe&user=me          → ?reason=needauth&user=me&salt=…&challenge=…&opaque=…
//! 3  live?authmod=adobe&user=me&challenge=…&response=…&opaque=…
//! ```
//!
//! There is no standard. This is what librtmp, ffmpeg and GStreamer do.

mod adobe;
mod limelight;

use std::fmt::Write;

use md5::{Digest, Md5};

use crate::{RtmpUrl, Secret};

/// Why there is no answer to what the server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// The refusal is about something else.
    NotAuth,
    /// Name or password are wrong, or missing, or asked for in an unknown way.
    Failed(&'static str),
}

/// What to put behind the application's name next.
///
/// `answered` says whether a challenge was answered before: a server that asks again does not like the answer. `nonce` is random.
pub(crate) fn next_query(
    description: &str,
    url: &RtmpUrl,
    answered: bool,
    nonce: u32,
) -> Result<(Secret, bool), AuthError> {
    let module = ["adobe", "llnw"].into_iter().find(|module| description.contains(&format!("authmod={module}")));
    let Some(module) = module else {
        let other = description.contains("authmod=") || description.contains("need auth");
        return Err(if other { AuthError::Failed("the server asks in an unknown way") } else { AuthError::NotAuth });
    };
    let Some((user, password)) = &url.user else { return Err(AuthError::Failed("the server asks for a user name")) };
    if description.contains("reason=authfailed") {
        return Err(AuthError::Failed("wrong user name or password"));
    }
    if description.contains("reason=nosuchuser") {
        return Err(AuthError::Failed("no such user"));
    }
    if answered {
        return Err(AuthError::Failed("the server asks again and again"));
    }
    let Some((_, challenge)) = description.split_once("?reason=needauth") else {
        return Ok((format!("authmod={module}&user={user}").into(), false));
    };
    let field = |name: &str| {
        let mut fields = challenge.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    };
    let query = match module {
        "adobe" => adobe::answer(user, password.reveal(), field, nonce),
        _ => limelight::answer(user, password.reveal(), &url.app, field, nonce),
    };
    Ok((query.into(), true))
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part.as_bytes()));
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(description: &str, url: &str, answered: bool) -> Result<(String, bool), AuthError> {
        let url = RtmpUrl::parse(url).unwrap();
        next_query(description, &url, answered, 0xABC).map(|(query, done)| (query.reveal().to_owned(), done))
    }

    const ASK: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";

    #[test]
    fn rtmp_m14_first_refusal_is_answered_with_the_user() {
        assert_eq!(next(ASK, "rtmp://me:pw@h/live/k", false), Ok(("authmod=adobe&user=me".into(), false)));
    }

    #[test]
    fn rtmp_m14_refusals_that_have_no_answer() {
        let url = "rtmp://me:pw@h/live/k";
        for (description, answered) in [
            ("[ authmod=adobe ] : ?reason=authfailed&opaque=x", true),
            ("[ authmod=adobe ] : ?reason=nosuchuser", false),
            ("[ authmod=adobe ] : ?reason=needauth&salt=x", true),
            ("[ code=403 need auth; authmod=kerberos ]", false),
        ] {
            assert!(matches!(next(description, url, answered), Err(AuthError::Failed(_))), "{description}");
        }
        assert!(matches!(next(ASK, "rtmp://h/live/k", false), Err(AuthError::Failed(_))));
        assert_eq!(next("stream is taken", url, false), Err(AuthError::NotAuth));
    }
}
