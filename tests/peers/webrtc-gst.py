"""Publishes over WHIP or plays over WHEP with GStreamer's webrtcbin, and says what was seen.

    /usr/bin/python3 webrtc-gst.py publish|play ENDPOINT SECONDS CODEC PEM

CODEC is VP8 or H264 to publish, VP9 to play. Debian's GStreamer has no whipsink, so the offer is posted here. PEM has an ECDSA certificate and its key: webrtcbin makes an
RSA one, which our DTLS does not take, and has no property for another, so its dtlsdec is given this one, and the offer its fingerprint.
Prints one JSON object as webrtc.mjs does, as far as there is such a thing here: { status, state, video: { frames, codec }, audio: { packets },
deleted }. What is published is counted behind the encoders once it is connected, what is played behind the decoders. Exit code 0 when the endpoint answered,
2 when the command is wrong.
"""

import hashlib
import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

# Longest wait, in seconds: many times what is watched, for a busy machine.
PATIENCE = 60

ENCODERS = {
    "VP8": "vp8enc deadline=1 keyframe-max-dist=60 name=video ! rtpvp8pay picture-id-mode=15-bit",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=60 ! video/x-h264,profile=constrained-baseline "
    "! identity name=video ! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
}

PUBLISH = (
    "webrtcbin name=w bundle-policy=max-bundle latency=50 "
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=30/1 ! {encoder} "
    "! application/x-rtp,media=video,encoding-name={codec},payload=96 ! queue ! w. "
    "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc name=audio ! rtpopuspay "
    "! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! queue ! w."
)

# What is played, by the codec that a pad says.
DECODERS = {"VP9": ("video", "rtpvp9depay ! vp9dec"), "OPUS": ("audio", "rtpopusdepay ! opusdec")}

RECEIVED = (
    "application/x-rtp,media=video,encoding-name=VP9,payload=96,clock-rate=90000",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
)


def request(method, url, body=None):
    asked = urllib.request.Request(url, data=body and body.encode(), method=method, headers={"content-type": "application/sdp"})
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()


def until(is_so):
    """Waits until something is so; whether it ever was."""
    limit = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


class Counter:
    """Counts buffers that leave elements, from when it is told to."""

    def __init__(self):
        self.counts, self.is_counting = {"video": 0, "audio": 0}, False

    def watch(self, kind, element):
        def probe(_pad, _info):
            self.counts[kind] += self.is_counting
            return Gst.PadProbeReturn.OK

        element.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, probe)


def certified(webrtc, pem):
    """Gives its DTLS this certificate; gives what puts its fingerprint into an offer."""

    def added(_bin, _within, element):
        factory = element.get_factory()
        if factory and factory.get_name() == "dtlsdec":
            element.set_property("pem", pem)

    webrtc.connect("deep-element-added", added)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 25])).digest()
    line = "a=fingerprint:sha-256 " + ":".join(f"{byte:02X}" for byte in digest)
    return lambda sdp: re.sub(r"a=fingerprint:sha-256 [0-9A-Fa-f:]+", line, sdp)


def offer(webrtc):
    """The offer, with all its candidates."""
    promise = Gst.Promise.new()
    webrtc.emit("create-offer", None, promise)
    promise.wait()
    reply = promise.get_reply()  # what it holds goes when it goes
    webrtc.emit("set-local-description", reply.get_value("offer"), None)
    complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
    if not until(lambda: webrtc.get_property("ice-gathering-state") == complete):
        sys.exit("the candidates are never complete")
    return webrtc.get_property("local-description").sdp.as_text()


def publisher(codec, counter, pem):
    pipeline = Gst.parse_launch(PUBLISH.format(encoder=ENCODERS[codec], codec=codec))
    webrtc = pipeline.get_by_name("w")
    sign = certified(webrtc, pem)
    for index in range(2):
        webrtc.emit("get-transceiver", index).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
    for kind in ("video", "audio"):
        counter.watch(kind, pipeline.get_by_name(kind))
    pipeline.set_state(Gst.State.PLAYING)
    # Its offer names codecs only once they have come.
    if not until(lambda: all(webrtc.get_static_pad(f"sink_{index}").get_current_caps() for index in range(2))):
        sys.exit("the encoders never begin")
    return pipeline, webrtc, sign


def player(counter, pem):
    pipeline = Gst.Pipeline.new(None)
    webrtc = Gst.parse_launch("webrtcbin bundle-policy=max-bundle latency=50")
    pipeline.add(webrtc)
    sign = certified(webrtc, pem)

    def came(_webrtc, pad):
        kind, decoder = DECODERS[pad.get_current_caps().get_structure(0).get_string("encoding-name")]
        sink = Gst.parse_bin_from_description(f"queue ! {decoder} ! identity name=seen ! fakesink sync=false", True)
        counter.watch(kind, sink.get_by_name("seen"))
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    webrtc.connect("pad-added", came)
    for caps in RECEIVED:
        webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
    pipeline.set_state(Gst.State.PLAYING)
    return pipeline, webrtc, sign


def main(mode, endpoint, seconds, codec, pem):
    Gst.init(None)
    counter = Counter()
    pipeline, webrtc, sign = publisher(codec, counter, pem) if mode == "publish" else player(counter, pem)
    status, headers, answer = request("POST", endpoint, sign(offer(webrtc)))
    seen = {"status": status, "video": {}, "audio": {}, "deleted": None}
    if status == 201:
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        webrtc.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp), None)
        connected = GstWebRTC.WebRTCPeerConnectionState.CONNECTED
        until(lambda: webrtc.get_property("connection-state") == connected)
        counter.is_counting = True
        if mode == "play":
            until(lambda: all(counter.counts.values()))
        time.sleep(seconds)
        seen["state"] = webrtc.get_property("connection-state").value_nick
        seen["video"] = {"frames": counter.counts["video"], "codec": f"video/{codec}"}
        seen["audio"] = {"packets": counter.counts["audio"]}
        seen["deleted"] = request("DELETE", urllib.parse.urljoin(endpoint, headers["location"]))[0]
    pipeline.set_state(Gst.State.NULL)
    print(json.dumps(seen))


if len(sys.argv) != 6 or sys.argv[1] not in ("publish", "play") or sys.argv[4] not in (*ENCODERS, "VP9"):
    print(__doc__, file=sys.stderr)
    sys.exit(2)
with open(sys.argv[5], encoding="ascii") as file:
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], file.read())
