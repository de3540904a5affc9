"""Publishes over WHIP, or plays over WHEP, with aiortc, as client or as server, and says what was seen.

    python webrtc-aiortc.py publish|play|take|give|counter ENDPOINT SECONDS [VP8|H264 [opus|PCMU|PCMA]]

`take` is a WHIP server at ENDPOINT, until its session is deleted. `give` is a WHEP server, which ends the session after SECONDS of pictures;
`counter` the same with an offer of its own (406). They serve one session, and take nobody without the token `s3cret`.

Prints one JSON object, that of webrtc.mjs as far as there is such a thing here: { status, answer, state, video: { frames, codec },
audio: { packets, loudest }, deleted }, that of a server without answer. Frames are those that were given to the encoder, or that came out of
the decoder; packets of sound the same; the loudest sample of 16 bits is that of what was played.
Exit code 0 when the endpoint answered, 2 when the command is wrong.
"""

import array
import asyncio
import fractions
import json
import math
import sys
import urllib.error
import urllib.parse
import urllib.request

import aioice.ice
import av
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

# Longest wait, in seconds: many times what is watched, for a busy machine.
PATIENCE = 60
RATE = 48_000

# Left to itself it looks for the other end from every address but that of the loopback device, which a machine without a network has only.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Picture(VideoStreamTrack):
    """30 pictures a second with a bar that moves."""

    def __init__(self):
        super().__init__()
        self.count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(320, 180, "yuv420p")
        luma = frame.planes[0]
        bar = self.count * 4 % 320
        row = bytes(220 if bar <= x < bar + 16 else 60 for x in range(320)).ljust(luma.line_size, b"\0")
        luma.update(row * 180)
        for plane in frame.planes[1:]:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        self.count += 1
        return frame


class Tone(AudioStreamTrack):
    """440 Hz in blocks of 20 ms."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.begun = None

    async def recv(self):
        size = RATE // 50
        now = asyncio.get_running_loop().time()
        self.begun = self.begun or now
        await asyncio.sleep(max(0, self.begun + self.count / 50 - now))
        start = self.count * size
        values = (int(8000 * math.sin(math.tau * 440 * (start + n) / RATE)) for n in range(size))
        frame = av.AudioFrame(format="s16", layout="mono", samples=size)
        frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in values))
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, fractions.Fraction(1, RATE)
        self.count += 1
        return frame


class Shown:
    """Takes a track as a player does."""

    def __init__(self):
        self.count = 0
        self.loudest = 0

    async def play(self, track):
        try:
            while True:
                frame = await track.recv()
                self.count += 1
                if track.kind == "audio":
                    samples = array.array("h", bytes(frame.planes[0]))
                    self.loudest = max(self.loudest, max(samples, default=0))
        except MediaStreamError:
            pass


def request(method, url, body=None):
    headers = {"content-type": "application/sdp"}
    asked = urllib.request.Request(url, data=body and body.encode(), method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()


def prefer(transceiver, side, codec):
    kind = transceiver.kind
    wanted = {f"{kind}/{codec}".lower(), f"{kind}/rtx"}
    known = side.getCapabilities(kind).codecs
    transceiver.setCodecPreferences([one for one in known if one.mimeType.lower() in wanted])


def prepare(pc, mode, codec, sound):
    """Adds both tracks; gives who counts pictures and sound."""
    if mode == "publish":
        picture, tone = Picture(), Tone()
        prefer(pc.addTransceiver(picture, direction="sendonly"), RTCRtpSender, codec)
        prefer(pc.addTransceiver(tone, direction="sendonly"), RTCRtpSender, sound)
        return picture, tone
    picture, tone = Shown(), Shown()
    prefer(pc.addTransceiver("video", direction="recvonly"), RTCRtpReceiver, codec)
    prefer(pc.addTransceiver("audio", direction="recvonly"), RTCRtpReceiver, sound)
    tasks = []

    @pc.on("track")
    def on_track(track):
        tasks.append(asyncio.ensure_future((picture if track.kind == "video" else tone).play(track)))

    return picture, tone


async def go_on(pc, picture, tone, seconds):
    """Until the first picture and then for so many seconds."""
    loop = asyncio.get_running_loop()
    until, begun = loop.time() + PATIENCE, None
    while loop.time() < until and pc.connectionState not in ("failed", "closed"):
        if picture.count > 0 and tone.count > 0:
            begun = begun or loop.time()
        if begun and loop.time() - begun > seconds:
            return
        await asyncio.sleep(0.02)


class Server:
    """Takes one session over HTTP."""

    def __init__(self, mode, endpoint, codec):
        self.mode, self.url, self.codec = mode, urllib.parse.urlsplit(endpoint), codec
        self.pc, self.seen = RTCPeerConnection(), {"status": None, "deleted": None}
        self.over = asyncio.Event()
        self.picture, self.tone = (Shown(), Shown()) if mode == "take" else (Picture(), Tone())
        self.tasks = []

    async def session(self, offer):
        """The answer to an offer, or the offer instead."""
        pc = self.pc

        @pc.on("track")
        def on_track(track):
            if self.mode == "take":
                shown = self.picture if track.kind == "video" else self.tone
                self.tasks.append(asyncio.ensure_future(shown.play(track)))

        if self.mode in ("give", "counter"):
            prefer(pc.addTransceiver(self.picture, direction="sendonly"), RTCRtpSender, self.codec)
            pc.addTransceiver(self.tone, direction="sendonly")
        if self.mode == "counter":
            await pc.setLocalDescription(await pc.createOffer())
            return 406
        await pc.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return 201

    async def respond(self, method, path, headers, body):
        if headers.get("authorization") != "Bearer s3cret":
            return 401, {}, "Only with the token, and s3cret is none."
        session = self.url.path + "/of/one"
        if (method, path) == ("POST", self.url.path) and headers.get("content-type") == "application/sdp":
            self.seen["status"] = await self.session(body)
            found = {"content-type": "application/sdp", "location": self.url.path.rsplit("/")[-1] + "/of/one", "etag": '"1"'}
            return self.seen["status"], found, self.pc.localDescription.sdp
        if (method, path) == ("PATCH", session) and self.mode == "counter" and headers.get("if-match") == '"1"':
            await self.pc.setRemoteDescription(RTCSessionDescription(sdp=body, type="answer"))
            return 204, {}, ""
        if (method, path) == ("DELETE", session):
            self.seen["deleted"] = 200
            self.over.set()
            return 200, {}, ""
        return 404, {}, "There is nothing."

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, found, text = await self.respond(method, path, headers, body.decode())
        found |= {"content-length": str(len(text.encode())), "connection": "close"}
        lines = "".join(f"{key}: {value}\r\n" for key, value in found.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n{text}".encode())
        await writer.drain()
        writer.close()

    async def run(self, seconds):
        server = await asyncio.start_server(self.serve, self.url.hostname, self.url.port)
        if self.mode == "take":
            await asyncio.wait_for(self.over.wait(), PATIENCE)
        else:
            await go_on(self.pc, self.picture, self.tone, seconds)
        self.seen["state"] = self.pc.connectionState
        await self.pc.close()
        if self.mode != "take":
            # Who is left deletes the session all the same.
            await asyncio.wait_for(self.over.wait(), PATIENCE)
        server.close()
        self.seen["video"] = {"frames": self.picture.count, "codec": f"video/{self.codec}"}
        self.seen["audio"] = {"packets": self.tone.count}
        return self.seen


async def main(mode, endpoint, seconds, codec, sound):
    if mode in ("take", "give", "counter"):
        print(json.dumps(await Server(mode, endpoint, codec).run(seconds)))
        return
    pc = RTCPeerConnection()
    picture, tone = prepare(pc, mode, codec, sound)
    await pc.setLocalDescription(await pc.createOffer())
    status, headers, answer = await asyncio.to_thread(request, "POST", endpoint, pc.localDescription.sdp)
    seen = {"status": status, "answer": answer, "video": {}, "audio": {}, "deleted": None}
    if status == 201:
        await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        await go_on(pc, picture, tone, seconds)
        seen["state"] = pc.connectionState
        session = urllib.parse.urljoin(endpoint, headers["location"])
        seen["video"] = {"frames": picture.count, "codec": f"video/{codec}"}
        seen["audio"] = {"packets": tone.count, "loudest": getattr(tone, "loudest", None)}
        seen["deleted"] = (await asyncio.to_thread(request, "DELETE", session))[0]
    await pc.close()
    print(json.dumps(seen))


if len(sys.argv) < 4 or sys.argv[1] not in ("publish", "play", "take", "give", "counter"):
    print(__doc__, file=sys.stderr)
    sys.exit(2)
codecs = [*sys.argv[4:6], *["VP8", "opus"][len(sys.argv[4:6]):]]
asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *codecs))
