//! How far servers may lead their clients, by a redirect or by asking them to move.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_server::redirect::{Place, Redirects};

use crate::secret::presentable;
use crate::{RtmpUrl, Scheme};

/// Between where the user wants a client, and where servers lead it.
#[derive(Clone)]
pub(crate) struct Leash {
    redirects: Redirects,
    home: RtmpUrl,
    /// The address that home was reached at last.
    address: Arc<Mutex<Option<IpAddr>>>,
}

/// A server leads to where it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Astray {
    /// Host and port.
    to: String,
    why: &'static str,
    redirects: Redirects,
}

impl std::fmt::Display for Astray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { to, why, redirects } = self;
        write!(f, "the server leads to {to}, {why}, which `redirect: {}` does not allow", redirects.as_str())
    }
}

impl Leash {
    pub(crate) fn new(redirects: Redirects, home: &RtmpUrl) -> Self {
        Self { redirects, home: home.clone(), address: Arc::default() }
    }

    /// Whether it may be gone to this URL at all, whatever its address.
    pub(crate) fn check(&self, url: &RtmpUrl) -> Result<(), Astray> {
        let why = match self.redirects {
            Redirects::Any => return Ok(()),
            Redirects::None if *url != self.home => "elsewhere",
            _ if self.home.scheme == Scheme::Rtmps && url.scheme == Scheme::Rtmp => "without TLS",
            Redirects::SameHost if !self.is_home(url) => "another host",
            _ => return Ok(()),
        };
        Err(self.astray(url, why))
    }

    /// The addresses of a URL's host that may be gone to.
    pub(crate) fn filter(&self, url: &RtmpUrl, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Astray> {
        if self.is_home(url) {
            return Ok(addresses);
        }
        let from = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let is_refused = |address: &SocketAddr| !self.redirects.allows(from, address.ip());
        match addresses.iter().find(|address| is_refused(address)).map(|address| Place::of(address.ip())) {
            Some(place) if addresses.iter().all(is_refused) => Err(self.astray(url, place.as_str())),
            _ => Ok(addresses.into_iter().filter(|address| !is_refused(address)).collect()),
        }
    }

    /// A connection was made.
    pub(crate) fn reached(&self, url: &RtmpUrl, address: IpAddr) {
        if self.is_home(url) {
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        }
    }

    fn is_home(&self, url: &RtmpUrl) -> bool {
        url.host.eq_ignore_ascii_case(&self.home.host)
    }

    fn astray(&self, url: &RtmpUrl, why: &'static str) -> Astray {
        Astray { to: presentable(&url.origin()), why, redirects: self.redirects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RtmpUrl {
        RtmpUrl::parse(text).unwrap()
    }

    #[test]
    fn sec_no_redirect_leaves_tls_unless_it_may_lead_anywhere() {
        let home = url("rtmps://host/live/s3cret");
        for (redirects, allowed) in [(Redirects::SameHost, false), (Redirects::Public, false), (Redirects::Any, true)] {
            let leash = Leash::new(redirects, &home);
            assert_eq!(leash.check(&url("rtmp://HOST/live/s3cret")).is_ok(), allowed, "{redirects:?}");
            leash.check(&url("rtmps://host:444/other/s3cret")).unwrap();
        }
        let astray = Leash::new(Redirects::None, &home).check(&url("rtmps://host:444/live/s3cret")).unwrap_err();
        let text = "the server leads to rtmps://host:444, elsewhere, which `redirect: none` does not allow";
        assert_eq!(astray.to_string(), text);
    }

    #[test]
    fn sec_of_several_addresses_those_that_are_allowed_are_left() {
        let leash = Leash::new(Redirects::Public, &url("rtmp://host/live/cam"));
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let elsewhere = url("rtmp://elsewhere/live/cam");
        let filter = |texts: &[&str]| leash.filter(&elsewhere, addresses(texts));
        assert_eq!(filter(&["127.0.0.1:1", "8.8.8.8:1", "[::1]:1"]).unwrap(), addresses(&["8.8.8.8:1"]));
        assert_eq!(filter(&["10.0.0.1:1"]).unwrap_err().why, "an address of a private network");
        assert_eq!(filter(&[]).unwrap(), []);
        leash.reached(&url("rtmp://host/live/cam"), [10, 0, 0, 9].into());
        assert_eq!(filter(&["10.0.0.1:1", "127.0.0.1:1"]).unwrap(), addresses(&["10.0.0.1:1"]));
        // Where the user wants it is the user's business.
        assert_eq!(leash.filter(&url("rtmp://Host:7/x/y"), addresses(&["127.0.0.1:7"])).unwrap().len(), 1);
    }
}
