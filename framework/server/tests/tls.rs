//! TLS on a simulated network: what passes, and who is refused.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_core::net::{Net, NetStream};
use millstream_core::{Env, ErrorKind, Result};
use millstream_runtime::Runtime;
use millstream_server::tls::{Identity, Roots};
use millstream_testkit::{MemFs, SimNet};

const BYTES: usize = 1 << 20;

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 443).into()
}

/// A certificate for `media.test` that signs itself, and its key, as PEM texts.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["media.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn machine() -> (Runtime, SimNet) {
    let runtime = Runtime::simulated(1, Arc::new(MemFs::new())).unwrap();
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    (runtime.with_net(move |_| Arc::new(own)), net)
}

/// Both ends at work: a server with `identity` that sends back what it reads, and what `client` does with a connection to it.
fn converse<T>(identity: (&str, &str), client: impl AsyncFnOnce(&Env, Box<dyn NetStream>) -> T) -> T {
    let (runtime, net) = machine();
    let env = runtime.env().clone();
    runtime.block_on(async {
        let identity = Identity::from_pem(&env, identity.0, identity.1).unwrap();
        let mut listener = net.listen(address()).unwrap();
        let _echo = env.tasks.spawn(Box::pin(async move {
            let stream = listener.accept().await.unwrap();
            let Ok(mut stream) = identity.accept(stream).await else { return };
            let mut read = BytesMut::with_capacity(64 << 10);
            while stream.read(&mut read).await.unwrap() > 0 {
                stream.write_all(&read.split()).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        }));
        let stream = net.connect(address()).await.unwrap();
        client(&env, stream).await
    })
}

#[test]
fn a_mebibyte_goes_there_and_back_encrypted() {
    let (chain, key) = certificate();
    let roots = Roots::from_pem(&chain).unwrap();
    let sent: Bytes = (0..BYTES).map(|i| ((i * 7) >> 3) as u8).collect();
    let received = converse((&chain, &key), async |env, stream| {
        let mut stream = roots.connect(env, stream, "media.test").await.unwrap();
        let mut received = BytesMut::with_capacity(16 << 10);
        for part in sent.chunks(40_000) {
            stream.write_all(part).await.unwrap();
            // What comes back is read before more is sent: neither end may wait for the other to read.
            let want = received.len() + part.len();
            while received.len() < want {
                assert!(stream.read(&mut received).await.unwrap() > 0);
                received.reserve(16 << 10);
            }
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut received).await.unwrap(), 0, "the other end says that it ends");
        received
    });
    assert!(received == sent);
}

#[test]
fn who_is_another_or_not_trusted_is_refused() {
    let (chain, key) = certificate();
    let refused = |roots: Roots, host: &'static str| -> String {
        let connect = converse((&chain, &key), async |env, stream| roots.connect(env, stream, host).await.map(drop));
        let error = connect.unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    };
    let other_name = refused(Roots::from_pem(&chain).unwrap(), "other.test");
    assert!(other_name.contains("no secure connection with other.test"), "{other_name}");
    assert!(other_name.contains("not valid for name"), "{other_name}");
    let unknown = refused(Roots::public(), "media.test");
    assert!(unknown.contains("UnknownIssuer") || unknown.contains("CaUsedAsEndEntity"), "{unknown}");
}

#[test]
fn who_checks_nothing_talks_to_anybody() {
    let (chain, key) = certificate();
    let talked = converse((&chain, &key), async |env, stream| {
        let mut stream = Roots::unchecked().connect(env, stream, "other.test").await?;
        let mut received = BytesMut::new();
        stream.write_all(b"hello").await.unwrap();
        stream.read(&mut received).await.unwrap();
        Ok::<_, millstream_core::Error>(received)
    });
    assert_eq!(talked.unwrap(), b"hello"[..]);
}

#[test]
fn a_server_without_tls_is_named() {
    let (runtime, net) = machine();
    let result: Result<()> = runtime.block_on(async {
        let mut listener = net.listen(address()).unwrap();
        let _plain = runtime.env().tasks.spawn(Box::pin(async move {
            let mut stream = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
        }));
        let stream = net.connect(address()).await.unwrap();
        Roots::public().connect(runtime.env(), stream, "plain.test").await.map(drop)
    });
    let error = result.unwrap_err();
    assert!(error.to_string().contains("no secure connection with plain.test"), "{error}");
    assert_eq!((error.kind(), error.hint_text()), (ErrorKind::Peer, Some("does it speak TLS at this port?")));
}

#[test]
fn identities_that_are_none_are_refused() {
    let ((chain, key), (_, other_key)) = (certificate(), certificate());
    let (runtime, _net) = machine();
    for (chain, key, why) in [
        ("", key.as_str(), "no certificate"),
        (chain.as_str(), "", "no private key"),
        (chain.as_str(), other_key.as_str(), "do not belong together"),
    ] {
        let error = Identity::from_pem(runtime.env(), chain, key).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(Roots::from_pem("no pem").is_err());
}
