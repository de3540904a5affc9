//! The HTTP client on a simulated network: against the server of this crate, and against servers by hand that misbehave.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_core::net::Net;
use millstream_core::{Env, Time, TimeDelta};
use millstream_runtime::Runtime;
use millstream_server::http::client::{Request, within};
use millstream_server::http::hyper::StatusCode;
use millstream_server::http::{Ask, Server, text};
use millstream_testkit::{MemFs, SimNet};

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

fn machine() -> (Runtime, SimNet) {
    let runtime = Runtime::simulated(1, Arc::new(MemFs::new())).unwrap();
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    (runtime.with_net(move |_| Arc::new(own)), net)
}

/// Answers the next connection with these bytes, and gives what it asked.
fn answers(env: &Env, net: &SimNet, answer: &'static str) -> tokio::sync::oneshot::Receiver<BytesMut> {
    let mut listener = net.listen(address()).unwrap();
    let (sender, asked) = tokio::sync::oneshot::channel();
    let task = env.tasks.spawn(Box::pin(async move {
        let mut stream = listener.accept().await.unwrap();
        let mut request = BytesMut::with_capacity(4096);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(stream.read(&mut request).await.unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = sender.send(request);
    }));
    task.detach();
    asked
}

#[test]
fn gets_what_the_server_of_this_crate_serves() {
    let (runtime, _net) = machine();
    runtime.block_on(async {
        let server = Server::at(runtime.env(), address()).unwrap();
        let _mounted = server.mount("/a b", Arc::new(|_: &Ask<'_>| text(StatusCode::OK, "hello"))).unwrap();
        for (url, status, body) in [("http://127.0.0.1/a%20b?x", 200, "hello"), ("http://127.0.0.1", 404, "There")] {
            let response = Request::get(url).unwrap().send(runtime.env()).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert!(response.whole(100).await.unwrap().starts_with(body.as_bytes()));
        }
        let too_much = Request::get("http://127.0.0.1/a%20b").unwrap().send(runtime.env()).await.unwrap();
        assert!(too_much.whole(4).await.unwrap_err().to_string().contains("more than 4 bytes"));
    });
}

#[test]
fn a_post_says_what_rfc_9112_asks_of_it() {
    let (runtime, net) = machine();
    runtime.block_on(async {
        let asked = answers(runtime.env(), &net, "HTTP/1.1 204 No Content\r\n\r\n");
        let request =
            Request::post("http://127.0.0.1/hook?key=1", "application/json", Bytes::from_static(b"{}")).unwrap();
        assert_eq!(request.send(runtime.env()).await.unwrap().status().as_u16(), 204);
        let asked = String::from_utf8(asked.await.unwrap().to_vec()).unwrap().to_lowercase();
        assert!(asked.starts_with("post /hook?key=1 http/1.1\r\n"), "{asked}");
        for header in ["host: 127.0.0.1\r\n", "content-length: 2\r\n", "content-type: application/json\r\n"] {
            assert!(asked.contains(header), "{header:?} in {asked}");
        }
    });
}

#[test]
fn redirects_are_followed_and_counted() {
    let (runtime, net) = machine();
    runtime.block_on(async {
        let server = Server::at(runtime.env(), ([127, 0, 0, 1], 81).into()).unwrap();
        let _mounted = server.mount("/new", Arc::new(|_: &Ask<'_>| text(StatusCode::OK, "there"))).unwrap();
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:81/new\r\nContent-Length: 0\r\n\r\n";
        drop(answers(runtime.env(), &net, moved));
        let response = Request::get("http://127.0.0.1/old").unwrap().send(runtime.env()).await.unwrap();
        assert_eq!(response.whole(100).await.unwrap(), "there");
        let in_circles = |_: &Ask<'_>| {
            let mut response = text(StatusCode::FOUND, "");
            response.headers_mut().insert("location", "/circle".parse().unwrap());
            response
        };
        let _circle = server.mount("/circle", Arc::new(in_circles)).unwrap();
        let error = Request::get("http://127.0.0.1:81/circle").unwrap().send(runtime.env()).await.err().unwrap();
        assert!(error.to_string().contains("redirects more than 5 times"), "{error}");
    });
}

#[test]
fn who_is_silent_breaks_off_or_is_no_http_server_is_blamed() {
    for (answer, what) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "broke off"),
        ("220 mail.test ESMTP\r\n", "gave no answer"),
        ("", "gave no answer"),
    ] {
        let (runtime, net) = machine();
        let error = runtime.block_on(async {
            drop(answers(runtime.env(), &net, answer));
            match Request::get("http://127.0.0.1/key").unwrap().send(runtime.env()).await {
                Ok(response) => response.whole(100).await.unwrap_err(),
                Err(error) => error,
            }
        });
        assert!(error.to_string().contains(what) && !error.to_string().contains("key"), "{error}");
    }
    let (runtime, net) = machine();
    runtime.block_on(async {
        let _silent = net.listen(address()).unwrap();
        let request = Request::get("http://127.0.0.1/").unwrap().send(runtime.env());
        let error = within(runtime.env(), TimeDelta::from_secs(3), "the callback", request).await.err().unwrap();
        assert!(error.to_string().contains("the callback took longer than 3"), "{error}");
        assert_eq!(runtime.env().clock.now(), Time::from_millis(3000));
    });
}
