//! A simulated machine with a server on it, and clients by hand.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use millstream_core::{Buffer, Registry};
use millstream_flv::wire::{FlvReader, Tag, TagHeader, TagKind};
use millstream_generic::AppSrcHandle;
use millstream_runtime::{Pipeline, Runtime};
pub(crate) use millstream_testkit::http::Client;
use millstream_testkit::{MemFs, SimNet};

pub(crate) fn address() -> SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

pub(crate) fn machine() -> (Runtime, SimNet) {
    let runtime = Runtime::simulated(1, Arc::new(MemFs::new())).unwrap();
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    (runtime.with_net(|_| Arc::new(own)), net)
}

/// A pipeline that serves what the test pushes.
pub(crate) fn serving(runtime: &Runtime, settings: &str) -> (Pipeline, AppSrcHandle) {
    let mut registry = Registry::new();
    millstream_generic::register(&mut registry);
    millstream_http::register(&mut registry);
    let line = format!("appsrc name=in caps=video/x-flv ! httpflvsink name=out path=/live/cam.flv {settings}");
    let graph = millstream_graph::load_launch(&line, &registry).unwrap().graph;
    let mut pipeline = runtime.start(&graph).unwrap();
    let handle = pipeline.handle("in").unwrap();
    (pipeline, handle)
}

/// The header of a file, then a tag a buffer.
pub(crate) fn file_header() -> Buffer {
    Buffer::new(Bytes::from_static(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"))
}

pub(crate) fn tag(kind: TagKind, timestamp: u32, body: &[u8]) -> Buffer {
    let header = TagHeader::new(kind, body.len() as u32, timestamp);
    let mut bytes = BytesMut::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&header.tag_size().to_be_bytes());
    Buffer::new(bytes.freeze())
}

pub(crate) fn metadata() -> Buffer {
    tag(TagKind::Script, 0, b"\x02\x00\x0aonMetaData\x08\0\0\0\0\0\0\x09")
}

pub(crate) fn config() -> Buffer {
    tag(TagKind::Video, 0, b"\x17\x00\0\0\0\x01")
}

pub(crate) fn key(timestamp: u32, len: usize) -> Buffer {
    tag(TagKind::Video, timestamp, &[&b"\x17\x01\0\0\0"[..], &vec![1; len]].concat())
}

pub(crate) fn inter(timestamp: u32, len: usize) -> Buffer {
    tag(TagKind::Video, timestamp, &[&b"\x27\x01\0\0\0"[..], &vec![2; len]].concat())
}

pub(crate) fn audio(timestamp: u32) -> Buffer {
    tag(TagKind::Audio, timestamp, b"\xaf\x01\x21")
}

pub(crate) async fn push(handle: &AppSrcHandle, buffers: impl IntoIterator<Item = Buffer>) {
    for buffer in buffers {
        handle.push(buffer).await.unwrap();
    }
}

/// The tags of a file.
pub(crate) fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut reader = FlvReader::new();
    reader.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

pub(crate) fn times(bytes: &[u8]) -> Vec<u32> {
    tags(bytes).iter().map(|tag| tag.timestamp).collect()
}
