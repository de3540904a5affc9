//! Where elements are reached, for people.

/// The message by which an element says where it is reached (`framework/server`).
pub(crate) const ADDRESS: &str = "address";

/// What has been said so far.
#[derive(Default)]
pub(crate) struct Addresses {
    origins: Vec<String>,
}

impl Addresses {
    /// Lines that tell of an address.
    pub(crate) fn lines(&mut self, guests: &str, url: &str) -> Vec<String> {
        if guests == "publishers" {
            // OBS asks for the two apart.
            let (server, key) = url.rsplit_once('/').unwrap_or((url, ""));
            return vec![format!("publish to  {url}   (OBS: server {server}, stream key {key})")];
        }
        if guests == "relays" {
            return vec![format!("relay       {url}")];
        }
        if guests == "callers" {
            return vec![format!("call        {url}   in a browser")];
        }
        let mut lines = vec![format!("play        {url}")];
        if let Some(origin) = origin(url).filter(|origin| !self.origins.contains(origin)) {
            lines.push(format!("watch       {origin}/watch   in a browser"));
            self.origins.push(origin);
        }
        lines
    }
}

/// `http://host:port` of a URL over HTTP.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("http"))?;
    Some(format!("{scheme}://{}", rest.split('/').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watch_page_is_told_once_for_each_listener() {
        let mut addresses = Addresses::default();
        let mut said = |guests, url| addresses.lines(guests, url);
        let publish = said("publishers", "rtmp://127.0.0.1:1935/live/cam");
        assert_eq!(publish.len(), 1);
        assert!(publish[0].contains("server rtmp://127.0.0.1:1935/live, stream key cam"), "{publish:?}");
        assert!(said("players", "http://127.0.0.1:8080/a.flv")[1].contains("http://127.0.0.1:8080/watch"));
        assert_eq!(said("players", "http://127.0.0.1:8080/b.flv").len(), 1);
        assert_eq!(said("players", "rtmp://127.0.0.1:1935/live/cam").len(), 1);
        assert_eq!(
            said("callers", "http://127.0.0.1:8081/call"),
            ["call        http://127.0.0.1:8081/call   in a browser"]
        );
    }
}
