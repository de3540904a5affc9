//! `httpflvsrc` on a simulated network: from our own server over a broken connection, and from servers by hand.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::net::SocketAddr;

use bytes::BytesMut;
use common::{address, audio, config, file_header, inter, key, machine, metadata, push, serving};
use millstream_core::net::Net as _;
use millstream_core::{Buffer, Env, Registry, Result, TimeDelta};
use millstream_generic::AppSinkHandle;
use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::SimNet;

/// A pipeline that plays from a URL.
fn playing(runtime: &Runtime, location: &str, settings: &str) -> (Pipeline, AppSinkHandle) {
    let mut registry = Registry::new();
    millstream_generic::register(&mut registry);
    millstream_http::register(&mut registry);
    let line = format!("httpflvsrc location={location} {settings} ! appsink name=out");
    let graph = millstream_graph::load_launch(&line, &registry).unwrap().graph;
    let mut pipeline = runtime.start(&graph).unwrap();
    let handle = pipeline.handle("out").unwrap();
    (pipeline, handle)
}

async fn wait(env: &Env, millis: i64) {
    env.clock.sleep_until(env.clock.now() + TimeDelta::from_millis(millis)).await;
}

/// Time of each tag in milliseconds, on the pad and in the tag, which are the same; without the header of the file.
async fn times(out: &AppSinkHandle, count: usize) -> Vec<i64> {
    let mut times = Vec::new();
    while times.len() < count {
        let buffer = out.next_buffer().await.expect("the stream goes on");
        let bytes = buffer.payload.contiguous();
        if bytes.starts_with(b"FLV") {
            continue;
        }
        let in_tag = u32::from_be_bytes([bytes[7], bytes[4], bytes[5], bytes[6]]);
        assert_eq!(buffer.dts.unwrap().millis(), i64::from(in_tag));
        times.push(buffer.dts.unwrap().millis());
    }
    times
}

#[test]
fn flv_5_a_stream_goes_on_on_one_timeline_behind_a_lost_connection() {
    let (runtime, net) = machine();
    let (_serving, input) = serving(&runtime, "");
    let (_pipeline, out) = playing(&runtime, "http://127.0.0.1:8080/live/cam.flv?key=secret", "timeout=2s");
    runtime.block_on(async {
        let env = runtime.env();
        push(&input, [file_header(), metadata(), config(), key(1000, 50), audio(1010)]).await;
        assert_eq!(times(&out, 4).await[2..], [1000, 1010]);
        // The server goes away and comes back, and is at its next group of pictures then.
        net.cut(address());
        wait(env, 100).await;
        net.restore(address());
        push(&input, [key(4000, 50), inter(4040, 50)]).await;
        let [meta, head, first, second] = times(&out, 4).await[..] else { unreachable!() };
        assert!(meta >= 1010 && head >= meta && first > 1010 && second == first + 40, "{meta} {head} {first} {second}");
        // A server that falls silent is left, too.
        net.silence(address());
        wait(env, 3000).await;
        net.restore(address());
        push(&input, [key(8000, 50), inter(8040, 50)]).await;
        let later = times(&out, 4).await;
        assert!(later[2] > second && later[3] == later[2] + 40, "{later:?}");
    });
}

/// A server that answers each request with the next of these texts, then closes.
fn server(env: &Env, net: &SimNet, at: SocketAddr, answers: Vec<Vec<u8>>) {
    let mut listener = net.listen(at).unwrap();
    let task = env.tasks.spawn(Box::pin(async move {
        for answer in answers {
            let mut stream = listener.accept().await.unwrap();
            let mut request = BytesMut::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.reserve(1024);
                assert!(stream.read(&mut request).await.unwrap() > 0);
            }
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }));
    task.detach();
}

fn flv(tags: &[Buffer]) -> Vec<u8> {
    let all = std::iter::once(file_header()).chain(tags.iter().cloned());
    all.flat_map(|buffer| buffer.payload.contiguous().to_vec()).collect()
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n\r\n", body].concat()
}

/// What comes of a server by hand: tags until the end, and how the pipeline ended.
fn plays(answers: Vec<Vec<u8>>, settings: &str) -> (usize, Result<()>) {
    let (runtime, net) = machine();
    server(runtime.env(), &net, address(), answers);
    let (mut pipeline, out) = playing(&runtime, "http://127.0.0.1:8080/old.flv?key=secret", settings);
    runtime.block_on(async {
        let mut tags = 0;
        while let Some(buffer) = out.next_buffer().await {
            tags += usize::from(!buffer.payload.contiguous().starts_with(b"FLV"));
        }
        (tags, pipeline.wait().await)
    })
}

#[test]
fn flv_5_redirects_chunks_and_the_end_of_the_connection_are_understood() {
    let body = flv(&[config(), key(0, 50), inter(40, 50)]);
    let (first, second) = body.split_at(20);
    let chunks = [first, second].map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    let chunked = [&chunks[0][..], &chunks[1], b"0\r\n\r\n"].concat();
    let redirect = answer("HTTP/1.1 302 Found\r\nLocation: /new.flv?key=secret\r\nContent-Length: 0", b"");
    for answers in [
        vec![answer("HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close", &body)],
        vec![answer("HTTP/1.0 200 OK", &body)],
        vec![answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", &chunked)],
        vec![redirect, answer("HTTP/1.1 200 OK\r\nConnection: close", &body)],
    ] {
        let (tags, ended) = plays(answers, "");
        ended.unwrap();
        assert_eq!(tags, 3);
    }
}

#[test]
fn flv_5_what_may_pass_is_asked_for_again_and_the_rest_is_told_without_keys() {
    let body = flv(&[config(), key(0, 50)]);
    let good = answer("HTTP/1.1 200 OK\r\nConnection: close", &body);
    let status = |line: &str| answer(&format!("HTTP/1.1 {line}\r\nContent-Length: 0"), b"");
    // A response that breaks off is not its end: chunks end with an empty one.
    let broken = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"5\r\nFLV\x01");
    for passing in [status("404 Not Found"), status("503 Busy"), broken] {
        let (tags, ended) = plays(vec![passing.clone(), passing, good.clone()], "");
        ended.unwrap();
        assert_eq!(tags, 2);
    }
    let page = answer("HTTP/1.1 200 OK\r\nConnection: close", b"<!doctype html><p>Welcome to this server");
    for (answers, settings, word) in [
        (vec![status("403 Forbidden")], "", "answers 403"),
        (vec![page], "", "sends no FLV"),
        (vec![status("404 Not Found"), status("404 Not Found")], "retries=1", "answers 404"),
    ] {
        let error = plays(answers, settings).1.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(word) && !text.contains("secret") && !text.contains("old.flv"), "{text}");
    }
}

#[test]
fn sec_an_http_server_leads_no_further_than_the_user_allows() {
    let body = flv(&[config(), key(0, 50)]);
    let good = answer("HTTP/1.1 200 OK\r\nConnection: close", &body);
    let leads = |to: &str| answer(&format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0"), b"");
    let elsewhere = "http://169.254.169.254:8080/secret.flv";
    for (to, settings, why) in [
        (elsewhere, "", "169.254.169.254:8080, an address of the link, which `redirect: public` does not allow"),
        (elsewhere, "redirect=same-host", "another host, which `redirect: same-host`"),
        ("/new.flv?key=secret", "redirect=none", "elsewhere, which `redirect: none`"),
    ] {
        let error = plays(vec![leads(to), good.clone()], settings).1.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(why) && !text.contains("secret"), "{text}");
    }
    // This machine leads to itself, and a host to its own paths.
    for (to, settings) in
        [("http://127.0.0.1:8080/new.flv", ""), ("/new.flv", "redirect=same-host"), (elsewhere, "redirect=any")]
    {
        let (runtime, net) = machine();
        let answers = vec![leads(to), good.clone()];
        match to == elsewhere {
            true => {
                server(runtime.env(), &net, address(), answers[..1].to_vec());
                server(runtime.env(), &net, "169.254.169.254:8080".parse().unwrap(), answers[1..].to_vec());
            }
            false => server(runtime.env(), &net, address(), answers),
        }
        let (mut pipeline, out) = playing(&runtime, "http://127.0.0.1:8080/old.flv", settings);
        runtime.block_on(async {
            while out.next_buffer().await.is_some() {}
            pipeline.wait().await.unwrap();
        });
    }
}
