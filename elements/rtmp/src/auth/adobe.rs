//! The answer to `authmod=adobe`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::md5;

/// MD5 of user, salt and password; then MD5 of that in base64, the server's `opaque` or else its challenge, and the client's own.
pub(super) fn answer<'a>(user: &str, password: &str, field: impl Fn(&str) -> Option<&'a str>, nonce: u32) -> String {
    let base64 = |parts: &[&str]| BASE64_STANDARD.encode(md5(parts));
    let own = format!("{nonce:08x}");
    let opaque = field("opaque").filter(|opaque| !opaque.is_empty());
    let secret = base64(&[user, field("salt").unwrap_or_default(), password]);
    let given = opaque.or_else(|| field("challenge")).unwrap_or_default();
    let response = base64(&[&secret, given, &own]);
    let mut query = format!("authmod=adobe&user={user}&challenge={own}&response={response}");
    if let Some(opaque) = opaque {
        query.push_str("&opaque=");
        query.push_str(opaque);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m14_adobe_challenge_is_answered() {
        let opaque =
            |name: &str| [("salt", "5ALT"), ("opaque", "0PAQ")].iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
        // printf of the parts through `openssl md5 -binary | base64`, twice.
        let expected = "authmod=adobe&user=me&challenge=00000abc&response=DY2G4w0IPc6UC85oe92TGA==&opaque=0PAQ";
        assert_eq!(answer("me", "pw", opaque, 0xABC), expected);
        let challenge = |name: &str| {
            [("salt", "5ALT"), ("challenge", "CHAL")].iter().find(|(key, _)| *key == name).map(|(_, v)| *v)
        };
        let expected = "authmod=adobe&user=me&challenge=00000abc&response=Mz/60KSoM1Keg5PyAQ/abA==";
        assert_eq!(answer("me", "pw", challenge, 0xABC), expected);
    }
}
