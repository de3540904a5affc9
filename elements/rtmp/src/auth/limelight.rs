//! The answer to `authmod=llnw`: HTTP Digest (RFC 2617, 3.2.2) with fixed realm and method.

use super::{hex, md5};

pub(super) fn answer<'a>(
    user: &str,
    password: &str,
    app: &str,
    field: impl Fn(&str) -> Option<&'a str>,
    nonce: u32,
) -> String {
    let own = format!("{nonce:08x}");
    let given = field("nonce").unwrap_or_default();
    let app = app.split('?').next().unwrap_or_default();
    // An application without an instance has this one.
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let secret = hex(&md5(&[user, ":live:", password]));
    let asked = hex(&md5(&["publish:/", app, instance]));
    let response = hex(&md5(&[&secret, ":", given, ":00000001:", &own, ":auth:", &asked]));
    format!("authmod=llnw&user={user}&nonce={given}&cnonce={own}&nc=00000001&response={response}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m14_limelight_challenge_is_answered() {
        let field = |name: &str| (name == "nonce").then_some("N0NCE");
        for (app, response) in
            [("live?x=1", "ee74ecaf1d2a4eb9818c325a696d3161"), ("live/one", "1a738618e205415f245e5b4e7530f1ee")]
        {
            let expected = format!("authmod=llnw&user=me&nonce=N0NCE&cnonce=00000abc&nc=00000001&response={response}");
            assert_eq!(answer("me", "pw", app, field, 0xABC), expected);
        }
    }
}
