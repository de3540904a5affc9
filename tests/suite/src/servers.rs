//! Foreign RTMP servers, each with a folder for what it writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_testkit::media::workspace;

use crate::live::{self, Background};
use crate::peers;

/// A server that ends with the test.
#[derive(Debug)]
pub struct Server {
    _program: Background,
    port: u16,
    http: u16,
    dir: tempfile::TempDir,
}

impl Server {
    /// `command` is given the folder and the ports for RTMP and HTTP.
    fn start(command: impl FnOnce(&Path, [u16; 2]) -> Command) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let [port, http] = [live::free_port(), live::free_port()];
        let mut command = command(dir.path(), [port, http]);
        let program = Background::start(&mut command);
        live::wait_for_port(port);
        Self { _program: program, port, http, dir }
    }

    /// nginx with its RTMP module, Debian's. Records every publication in `live`; `more` goes into that application.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    pub fn nginx(more: &str) -> Self {
        Self::start(|dir, [port, _]| nginx(dir, port, more, ""))
    }

    /// The same as a CDN: what is published in `live` is HLS with segments of a second, at [`Server::playlist`], for pages of any origin.
    ///
    /// # Panics
    /// As [`Server::nginx`].
    pub fn cdn() -> Self {
        let hls =
            |dir: &Path| format!("hls on; hls_path {}/hls; hls_fragment 1s; hls_playlist_length 30s;", dir.display());
        let server = Self::start(|dir, [port, http]| nginx(dir, port, &hls(dir), &web(dir, http)));
        live::wait_for_port(server.http);
        server
    }

    /// node-media-server of npm.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    pub fn node_media_server() -> Self {
        Self::start(|dir, [port, _]| {
            let app = workspace().join("target/peers/node/node_modules/node-media-server/bin/app.js");
            assert!(app.is_file(), "node-media-server is missing: `cargo xtask setup` brings it");
            let config = serde_json::json!({
                "bind": "127.0.0.1", "rtmp": { "port": port }, "store": { "path": "data" }, "record": { "path": "record" },
                "auth": { "play": false, "publish": false, "secret": "none" }, "webadmin": { "enable": false },
            });
            let file = dir.join("config.json");
            std::fs::write(&file, config.to_string()).expect("a file");
            let mut command = Command::new(peers::need("node"));
            command.arg(app).arg("-c").arg(file);
            command
        })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Of a stream, as `live/cam`.
    pub fn url(&self, path: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{path}", self.port)
    }

    /// The playlist of a stream, from [`Server::cdn`].
    pub fn playlist(&self, stream: &str) -> String {
        format!("http://127.0.0.1:{}/hls/{stream}.m3u8", self.http)
    }

    /// The segments in the playlist of a stream, from [`Server::cdn`]; none while there is no playlist.
    pub fn segments(&self, stream: &str) -> Vec<PathBuf> {
        let folder = self.dir().join("hls");
        let text = std::fs::read_to_string(folder.join(format!("{stream}.m3u8"))).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|name| folder.join(name)).collect()
    }

    /// The one FLV file that the server wrote.
    ///
    /// # Panics
    /// When there is none.
    pub fn recorded(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder is there");
        let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        files.find(|file| file.extension().is_some_and(|e| e == "flv")).expect("a recording")
    }
}

/// The command for nginx, with its configuration written; `more` goes into the application, `beside` beside RTMP.
fn nginx(dir: &Path, port: u16, more: &str, beside: &str) -> Command {
    let module = workspace().join("target/peers/deb/usr/lib/nginx/modules/ngx_rtmp_module.so");
    assert!(module.is_file(), "nginx-rtmp is missing: `cargo xtask setup` brings it");
    let folder = dir.display();
    // The queue is as long as a clip, which may come faster than in real time.
    let conf = format!(
        "load_module {module}; user root; daemon off; master_process off; pid {folder}/pid; error_log stderr error;\n\
         events {{ worker_connections 64; }}\n\
         rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; out_queue 4096;\n\
         application live {{ live on; record all; record_path {folder}; {more} }}\n\
         application vod {{ play {folder}; }} }} }}\n{beside}",
        module = module.display()
    );
    let file = format!("{folder}/nginx.conf");
    std::fs::write(&file, conf).expect("a file");
    let mut command = Command::new(workspace().join("target/peers/deb/usr/sbin/nginx"));
    command.args(["-e", "stderr", "-c", &file, "-p"]).arg(dir);
    command
}

/// nginx serves the folder over HTTP. Its folders for what it would keep for a while are those of Debian else, which are not there.
fn web(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path {dir}/kept;"));
    format!(
        "http {{ access_log off; {} types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}\n\
         server {{ listen 127.0.0.1:{port}; root {dir};\n\
         location /hls {{ add_header Access-Control-Allow-Origin *; add_header Cache-Control no-cache; }} }} }}\n",
        kept.join(" ")
    )
}
