//! What tests of the HTTP server share.

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_runtime::Runtime;
use millstream_testkit::{MemFs, SimNet};

/// Where the server listens.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// A runtime with a network and files of its own.
pub(crate) fn machine() -> (Runtime, SimNet, Arc<MemFs>) {
    let files = Arc::new(MemFs::new());
    let runtime = Runtime::simulated(1, files.clone()).expect("a runtime");
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    (runtime.with_net(|_| Arc::new(own)), net, files)
}
