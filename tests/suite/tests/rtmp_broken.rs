//! What is broken or made to break a server, sent to one that relays a stream meanwhile: at every depth of the protocol, whole and a byte at a
//! time. The stream does not notice, every such connection ends, and none takes memory for what it only announces.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use millstream_core::env::TaskHandle;
use millstream_core::{Env, TimeDelta};
use millstream_rtmp::command::{PlayStart, PublishType};
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_testkit::Weather;
use millstream_testkit::media::{media_dir, workspace};
use millstream_tests::elements::Collected;
use millstream_tests::random::Random;
use millstream_tests::rtmp::{Client, SEND, SERVER};
use millstream_tests::world::{CLIP_FRAMES, World, buffers};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// All of it together: the inputs, connections of some KiB, the clip and its frames. One declared length believed would be 16 MiB.
const MOST_MIB: f32 = 48.0;

/// Relays `live/cam`, and takes in `live/evil`, which belongs to whoever comes last.
const RELAY: &str = "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! rtmpserversink listen=10.0.0.1:1935 stream=cam \
                     rtmpserversrc listen=10.0.0.1:1935 stream=evil duplicate=take-over ! fakesink";
const PLAY: &str = "rtmpsrc location=rtmp://10.0.0.1/live/cam ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio";

/// Inputs that play a stream under another name, in good order: the seed of a player, and what damage did not change much.
const WAITING: usize = 11;

/// C0 and C1 of the simple handshake, and C2, which nobody compares.
const HELLO: usize = 1 + 1536;
const ECHO: usize = 1536;

/// How far a client comes before it sends what is broken.
#[derive(Clone, Copy, Debug)]
enum Depth {
    /// Instead of the handshake.
    Nothing,
    /// Instead of `connect`.
    Handshake,
    /// While it publishes, or plays.
    Publish,
    Play,
}

/// Files of other projects' fuzzing, broken recordings, our seeds, and seeds with random damage.
fn inputs() -> Vec<Vec<u8>> {
    let seeds = workspace().join("tests/fuzz/seeds");
    let mut all = read(&seeds, "rtmp_");
    assert!(all.len() >= 3, "the seeds are there");
    let mut random = Random::new(11);
    for seed in all.clone() {
        for _ in 0..10 {
            let mut damaged = seed.clone();
            for _ in 0..20 {
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = random.below(256) as u8;
            }
            all.push(damaged);
        }
    }
    if let Some(corpus) = media_dir() {
        all.extend(read(&corpus.join("fuzz_rtmp"), ""));
        all.extend(read(&corpus.join("broken"), "rtmp_"));
    }
    // A message of 16 MiB is announced, in the first chunk of each stream, and nothing of it comes.
    all.push((3..64).flat_map(|chunks| [chunks, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0]).collect());
    all
}

fn read(folder: &Path, prefix: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("it can be read")).collect()
}

/// Goes as far as it is to, sends it, and reads until the server closes.
async fn attack(env: Env, depth: Depth, input: Arc<Vec<u8>>, piece: usize) {
    let purpose = match depth {
        Depth::Play => Purpose::Play { start: PlayStart::Live, duration: None },
        _ => Purpose::Publish(PublishType::Live),
    };
    let url = if matches!(depth, Depth::Play) { "rtmp://10.0.0.1/live/cam" } else { "rtmp://10.0.0.1/live/evil" };
    let mut stream = match depth {
        Depth::Nothing | Depth::Handshake => env.net.connect(SocketAddr::from(SERVER)).await.expect("it listens"),
        Depth::Publish | Depth::Play => {
            let mut client = Client::connect(&env, url, purpose).await;
            loop {
                match client.next().await {
                    Ok(Some(ClientEvent::Publishing { .. } | ClientEvent::Playing { .. })) => break,
                    Ok(Some(_)) => {}
                    // Another one has taken its place already.
                    Ok(None) | Err(_) => return,
                }
            }
            client.stream
        }
    };
    let mut got = BytesMut::new();
    if matches!(depth, Depth::Handshake) {
        let hello = [&[3][..], &[0; HELLO - 1]].concat();
        stream.write_all(&hello).await.expect("nothing is wrong yet");
        while got.len() < HELLO + ECHO {
            got.reserve(HELLO + ECHO);
            assert_ne!(stream.read(&mut got).await.expect("nothing is wrong yet"), 0);
        }
        stream.write_all(&[0; ECHO]).await.expect("nothing is wrong yet");
    }
    for part in input.chunks(piece) {
        if stream.write_all(part).await.is_err() {
            return;
        }
    }
    loop {
        got.clear();
        got.reserve(1 << 12);
        match stream.read(&mut got).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Starts every attack at one depth; how many the server has ended is counted in `ended`.
fn start(env: &Env, depth: Depth, inputs: &[Arc<Vec<u8>>], ended: &Arc<AtomicUsize>) -> Vec<TaskHandle> {
    let begin = |(n, input): (usize, &Arc<Vec<u8>>)| {
        let (env_of_it, input, ended) = (env.clone(), input.clone(), ended.clone());
        // Every other one slowly, those that are long in pieces.
        let piece = if n % 2 == 0 { usize::MAX } else { 1 + input.len() / 2000 };
        env.tasks.spawn(Box::pin(async move {
            attack(env_of_it, depth, input, piece).await;
            ended.fetch_add(1, Ordering::Relaxed);
        }))
    };
    inputs.iter().enumerate().map(begin).collect()
}

#[test]
fn sec_broken_clients_hurt_no_stream_and_are_closed() {
    let inputs: Vec<Arc<Vec<u8>>> = inputs().into_iter().map(Arc::new).collect();
    let world = World::new(Weather { delay: TimeDelta::from_millis(1), ..Weather::default() });
    let relay = world.start(RELAY);
    world.pass(TimeDelta::from_millis(10));
    let mut player = world.start(PLAY);
    let [video, audio] = ["video", "audio"].map(|name| player.handle::<Collected>(name).expect("a collect"));
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_secs(1));
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage_as_mb();
    let ended = Arc::<AtomicUsize>::default();
    let env = world.runtime.env().clone();
    let mut attacks = Vec::new();
    for depth in [Depth::Nothing, Depth::Handshake, Depth::Publish, Depth::Play] {
        attacks.extend(world.runtime.block_on(async { start(&env, depth, &inputs, &ended) }));
        world.pass(TimeDelta::from_millis(500));
    }
    world.end(sender);
    world.end(player);
    assert_eq!((buffers(&video).len(), buffers(&audio).len()), CLIP_FRAMES, "the stream did not notice");
    // Whoever says nothing more is closed in time: handshake, `connect`, a publisher's silence.
    world.pass(TimeDelta::from_secs(120));
    // Among the inputs are clients that play another stream, which is not there: they may wait for it.
    let waiting = attacks.len() - ended.load(Ordering::Relaxed);
    assert!(waiting <= WAITING, "{waiting} of {} connections do not end", attacks.len());
    let taken = MEMORY.peak_usage_as_mb() - before;
    assert!(taken < MOST_MIB, "{taken} MiB");
    relay.stop();
    world.end(relay);
}
