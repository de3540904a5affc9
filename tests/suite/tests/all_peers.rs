//! Programs that are too large for every run: OBS publishes to us, VLC plays from us. `cargo xtask test --all-peers` brings and runs them.
//!
//! | program | what |
//! | --- | --- |
//! | OBS 29 on a screen in memory | publishes by RTMP, and is killed in the middle |
//! | VLC 3 without a screen | plays RTMP, HTTP-FLV and HLS, and writes what it played |

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use millstream_runtime::Runtime;
use millstream_testkit::fixture;
use millstream_tests::live::{self, Background};
use millstream_tests::peers::{self, Frames};

/// Bytes of a publication of OBS that are enough to look at: some six seconds of its 0.5 Mbit/s.
const ENOUGH: u64 = 400_000;

/// A folder for another user too.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
    folder
}

fn write(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("a file");
}

/// The settings of OBS: x264 at 30 pictures a second, one coloured source, our server.
fn configure_obs(home: &Path, port: u16) {
    let obs = home.join(".config/obs-studio");
    let profile = obs.join("basic/profiles/Test");
    write(
        &obs.join("global.ini"),
        "[General]\nFirstRun=true\nLastVersion=486539266\n\
         [Basic]\nProfile=Test\nProfileDir=Test\nSceneCollection=Test\nSceneCollectionFile=Test\n",
    );
    write(
        &profile.join("basic.ini"),
        "[Output]\nMode=Simple\n\
         [SimpleOutput]\nVBitrate=400\nABitrate=96\nStreamEncoder=x264\nUseAdvanced=true\nPreset=ultrafast\n\
         x264Settings=keyint=60 bframes=3\n\
         [Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\nFPSCommon=30\n",
    );
    let server = format!("rtmp://127.0.0.1:{port}/live");
    let settings = serde_json::json!({ "server": server, "key": "cam?key=a=b", "use_auth": false });
    let service = serde_json::json!({ "type": "rtmp_custom", "settings": settings });
    write(&profile.join("service.json"), &service.to_string());
    let colour = serde_json::json!({ "color": 4_278_255_360_u32, "width": 640, "height": 360 });
    let scene = serde_json::json!({ "items": [{ "name": "Colour", "id": 1, "visible": true }] });
    let collection = serde_json::json!({
        "name": "Test", "current_scene": "Scene", "current_program_scene": "Scene", "scene_order": [{ "name": "Scene" }],
        "sources": [
            { "id": "color_source_v3", "versioned_id": "color_source_v3", "name": "Colour", "settings": colour },
            { "id": "scene", "versioned_id": "scene", "name": "Scene", "settings": scene },
        ],
    });
    write(&obs.join("basic/scenes/Test.json"), &collection.to_string());
}

/// A screen in memory, and its name.
fn screen(dir: &Path) -> (Background, String) {
    let said = dir.join("display");
    let mut command = Command::new(peers::need("Xvfb"));
    command.args(["-displayfd", "1", "-screen", "0", "1024x768x24"]).stderr(Stdio::null());
    let program = Background::start_into(&mut command, std::fs::File::create(&said).expect("a file"));
    let number = live::wait("Xvfb names no display", || {
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        text.ends_with('\n').then(|| text.trim().to_owned())
    });
    (program, format!(":{number}"))
}

#[test]
fn rtmp_m15_obs_publishes_to_us() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), live::free_port());
    let file = dir.path().join("obs.flv");
    configure_obs(dir.path(), port);
    let runtime = Runtime::new().expect("a runtime");
    let mut pipeline = live::start(
        &runtime,
        &format!(
            "rtmpserversrc listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0s ! filesink location={}",
            file.display()
        ),
    );
    let (_screen, display) = screen(dir.path());
    let mut obs = Command::new(peers::need("obs"));
    obs.args(["--startstreaming", "--multi", "--disable-missing-files-check"]);
    obs.args(["--profile", "Test", "--collection", "Test"]).env("HOME", dir.path()).env_remove("XDG_CONFIG_HOME");
    obs.env("XDG_RUNTIME_DIR", dir.path()).env("DISPLAY", display).env("LIBGL_ALWAYS_SOFTWARE", "1");
    let obs = Background::start(obs.stderr(Stdio::null()));
    let part = dir.path().join("obs.flv.part");
    live::wait("OBS publishes nothing", || std::fs::metadata(&part).ok().filter(|file| file.len() > ENOUGH));
    // It would ask on its screen whether we mean it.
    drop(obs);
    live::in_time(&runtime, pipeline.wait()).expect("the publication ends").expect("and well");
    looks_like_obs(&file);
}

/// H.264 with reordered pictures that can be decoded one after the other, and AAC without a gap.
fn looks_like_obs(file: &Path) {
    let ([video, audio], warnings) = peers::coded(file, "h264", "aac");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(video.hashes.len() >= 60 && audio.hashes.len() >= 120, "{} {}", video.hashes.len(), audio.hashes.len());
    // 1024 samples at 44.1 kHz, and RTMP has milliseconds. (Pictures it leaves out itself where the machine is too slow.)
    let gap = audio.seconds.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(gap < 1024.0 / 44_100.0 + 0.0021, "{gap} s between two sounds");
    assert!(!video.seconds.is_sorted(), "pictures are reordered");
    // A picture that is missing would be missed by those that refer to it.
    assert_eq!(peers::pictures(file).len(), video.hashes.len());
}

/// Plays a URL with VLC, which writes a transport stream. `begun` runs when it has been started.
fn vlc(url: &str, begun: impl FnOnce()) -> (tempfile::TempDir, PathBuf) {
    let dir = open_folder();
    let played = dir.path().join("played.ts");
    let player = peers::need("cvlc");
    // It refuses to run as root.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = if is_root {
        let mut other = Command::new(peers::need("setpriv"));
        other.args(["--reuid=nobody", "--clear-groups"]).arg(player);
        other
    } else {
        Command::new(player)
    };
    let out = format!("#std{{access=file,mux=ts,dst={}}}", played.display());
    command.args(["-I", "dummy", "--no-interact", "--play-and-exit", "--sout", &out, url, "vlc://quit"]);
    command.env("HOME", dir.path()).env_remove("DISPLAY").stderr(Stdio::null());
    let mut program = Background::start(&mut command);
    begun();
    assert!(program.wait(), "vlc {url}");
    (dir, played)
}

/// What VLC wrote are the frames of the clip, one after the other. It ends without writing the last second of what it has,
/// in the middle of a frame.
fn same(clip: &Path, played: &Path) {
    let (sent, _) = peers::coded(clip, "h264", "aac");
    let (arrived, _) = peers::coded(played, "h264", "aac");
    for (Frames { hashes: sent, .. }, Frames { hashes: arrived, .. }) in sent.iter().zip(&arrived) {
        let arrived = &arrived[..arrived.len().saturating_sub(1)];
        let (count, all) = (arrived.len(), sent.len());
        assert!(count * 10 >= all * 8, "{count} of {all} frames");
        assert!(sent.windows(count).any(|part| part == arrived), "frames are missing in the middle, or differ");
    }
}

/// Feeds a server of ours with the clip when the first player is there.
fn plays_live(sink: &str, url: &str) {
    let (runtime, clip) = (Runtime::new().expect("a runtime"), fixture("h264b_aac48s_10s.flv"));
    let line = format!("appsrc name=in caps=video/x-flv ! {sink} backlog=1h backlog-size=1GiB");
    let mut pipeline = live::start(&runtime, &line);
    let mut bus = pipeline.bus().expect("the first to ask");
    let (_dir, played) = vlc(url, || {
        live::in_time(&runtime, live::posted(&mut bus, "players")).expect("VLC comes");
        live::feed(&runtime, &mut pipeline, &clip);
    });
    same(&clip, &played);
}

#[test]
fn rtmp_m15_vlc_plays_from_us() {
    let port = live::free_port();
    let sink = format!("rtmpserversink listen=127.0.0.1:{port} stream=cam");
    plays_live(&sink, &format!("rtmp://127.0.0.1:{port}/live/cam"));
}

#[test]
fn flv_5_vlc_plays_http_flv() {
    let port = live::free_port();
    let sink = format!("httpflvsink listen=127.0.0.1:{port} path=/live/cam.flv");
    plays_live(&sink, &format!("http://127.0.0.1:{port}/live/cam.flv"));
}

#[test]
fn hls_10_vlc_plays_hls() {
    let (dir, port) = (tempfile::tempdir().expect("a folder"), live::free_port());
    let (runtime, clip) = (Runtime::new().expect("a runtime"), fixture("h264b_aac48s_10s.flv"));
    let line = format!(
        "filesrc location={} ! flvdemux name=d  d.video ! h264parse ! h.video  d.audio ! aacparse ! h.audio \
         hlssink name=h directory={} segment-duration=2s serve=127.0.0.1:{port} path=/live/cam",
        clip.display(),
        dir.path().display()
    );
    let mut pipeline = live::start(&runtime, &line);
    live::in_time(&runtime, pipeline.wait()).expect("it ends").expect("and well");
    let (_dir, played) = vlc(&format!("http://127.0.0.1:{port}/live/cam/index.m3u8"), || ());
    same(&clip, &played);
}
