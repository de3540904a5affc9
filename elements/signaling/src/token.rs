//! Signed tokens: JWT (RFC 7519) in compact form (RFC 7515, 3.1), with HMAC and SHA-256 only (RFC 7518, 3.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::message::MAX_DEPTH;

/// `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// How far the clocks of who signs and who looks may differ, in seconds.
const SKEW: i64 = 5;

/// Why a token does not hold. The text is for its owner and shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Three parts in base64url, of which two are JSON.
    #[error("the token is no JWT")]
    Shape,
    /// Another algorithm, none included.
    #[error("the token is not signed with HS256")]
    Algorithm,
    /// Somebody else signed it.
    #[error("the signature of the token is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    TooEarly,
    /// A claim is missing or has a wrong shape.
    #[error("the token has no `exp`, no `sub`, or a claim of another shape")]
    Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Times of a token (RFC 7519, 4.1.4 and 4.1.5). Numbers may have fractions.
#[derive(Deserialize)]
struct Times {
    exp: f64,
    nbf: Option<f64>,
}

/// Signs claims.
pub fn sign(key: &[u8], claims: &impl Serialize) -> String {
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap_or_default());
    let signed = format!("{HEADER}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(mac(key, &[signed.as_bytes()]));
    format!("{signed}.{signature}")
}

/// The claims of a token that this key signed and that holds now, `now` in seconds since 1970.
///
/// # Errors
/// When it does not.
pub fn verify<T: DeserializeOwned>(key: &[u8], token: &str, now: i64) -> Result<T, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Shape)?;
    let header: Header = json(header)?;
    if header.alg != "HS256" {
        return Err(TokenError::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Shape)?;
    let mut mac = keyed(key);
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| TokenError::Signature)?;
    let times: Times = json(claims).map_err(|_| TokenError::Claims)?;
    // Far from where a float loses seconds.
    let now = now as f64;
    if times.exp + SKEW as f64 <= now || !times.exp.is_finite() {
        return Err(TokenError::Expired);
    }
    if times.nbf.is_some_and(|nbf| nbf > now + SKEW as f64) {
        return Err(TokenError::TooEarly);
    }
    json(claims).map_err(|_| TokenError::Claims)
}

/// Whether a text looks like a signed token rather than like a key.
pub fn is_token(text: &str) -> bool {
    text.split('.').count() == 3
}

/// HMAC-SHA-256 of parts one after the other.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Shape)?;
    let opened = bytes.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    // Brackets in strings count too: no token of ours has so many.
    if opened > MAX_DEPTH * 4 {
        return Err(TokenError::Shape);
    }
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Shape)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// RFC 7515, A.1: the key, the token, and its time of 2011-03-22T18:43:00Z.
    const RFC_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const RFC_TIME: i64 = 1_300_819_380;

    #[test]
    fn the_token_of_the_standard_holds_until_its_time() {
        let key = URL_SAFE_NO_PAD.decode(RFC_KEY).unwrap();
        let claims: Value = verify(&key, RFC_TOKEN, RFC_TIME - 1).unwrap();
        assert_eq!(claims["iss"], "joe");
        let later = verify::<Value>(&key, RFC_TOKEN, RFC_TIME + SKEW);
        assert_eq!(later, Err(TokenError::Expired));
        assert_eq!(verify::<Value>(b"other", RFC_TOKEN, 0), Err(TokenError::Signature));
    }

    #[test]
    fn sig_3_tokens_that_do_not_hold_are_told_apart() {
        let key = b"secret";
        let good = sign(key, &json!({ "sub": "a", "exp": 100 }));
        assert!(verify::<Value>(key, &good, 99).is_ok());
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), good.split('.').nth(1).unwrap());
        let of = |claims: Value| sign(key, &claims);
        for (token, error) in [
            (none, TokenError::Algorithm),
            (of(json!({ "sub": "a" })), TokenError::Claims),
            (of(json!({ "sub": "a", "exp": "soon" })), TokenError::Claims),
            (of(json!({ "sub": "a", "exp": 200, "nbf": 150 })), TokenError::TooEarly),
            ("a.b".into(), TokenError::Shape),
            (format!("{good}!"), TokenError::Shape),
            (format!("{good}x"), TokenError::Signature),
        ] {
            assert_eq!(verify::<Value>(key, &token, 100), Err(error), "{token}");
        }
        let (head, _) = good.rsplit_once('.').unwrap();
        let other = sign(b"x", &json!({}));
        let forged = format!("{head}.{}", other.rsplit_once('.').unwrap().1);
        assert_eq!(verify::<Value>(key, &forged, 0), Err(TokenError::Signature));
    }
}
