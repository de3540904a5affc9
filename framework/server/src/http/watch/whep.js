// Plays a stream over WebRTC, by WHEP (draft-ietf-wish-whep).

/// How long a way to the server is looked for, in milliseconds: browsers give up only after half a minute.
const PATIENCE = 10_000;

/// Milliseconds from the beginning of NTP's time to that of Unix.
const SINCE_1900 = 2_208_988_800_000;

const NO_WAY =
  "no way to the server was found: its UDP port does not answer. A firewall may block it, or the server says an address that is not reached from here; its "
  + "settings `udp` and `advertise` say which";

/// What will not be otherwise when it is tried again.
export class Unplayable extends Error {}

/// What the server refused, in words.
async function refusal(response) {
  const said = (await response.text()).trim();
  const why = { 401: "the server wants a key", 403: "the server does not take this key", 404: "there is no such stream", 409: "it has not begun",
    503: "the server is busy" }[response.status];
  const words = [why, said || (why ? "" : `the server refused (${response.status})`)].filter(Boolean).join(". ").replace(/\.$/, "");
  return new ([404, 409, 503].includes(response.status) ? Error : Unplayable)(words);
}

/// Sound in two channels, which browsers take only when they have said so (RFC 7587, 6.1).
const stereo = (sdp) => sdp.replace(/^(a=fmtp:\d+ .*useinbandfec=1)$/gm, "$1;stereo=1");

export class WhepPlayer {
  constructor(video, key) {
    Object.assign(this, { video, key, over: new AbortController(), pc: new RTCPeerConnection() });
  }

  /// Plays until the stream has ended.
  async play(url) {
    const { pc, video, over } = this;
    const stream = new MediaStream();
    pc.ontrack = ({ track }) => {
      stream.addTrack(track);
      if (over.signal.aborted) return;
      video.srcObject = stream;
      video.play().catch(() => {});
    };
    for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
    const offer = await pc.createOffer();
    await pc.setLocalDescription({ type: "offer", sdp: stereo(offer.sdp) });
    this.authorization = this.key ? { authorization: `Bearer ${this.key}` } : {};
    const headers = { "content-type": "application/sdp", ...this.authorization };
    const response = await fetch(url, { method: "POST", headers, body: pc.localDescription.sdp, signal: over.signal });
    if (response.status !== 201) throw await refusal(response);
    this.session = new URL(response.headers.get("location"), url);
    const answer = await response.text();
    if (over.signal.aborted) return this.leave();
    const ended = this.ended();
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    return ended;
  }

  /// Resolves when the connection is over; fails when there never was one.
  ended() {
    const { pc } = this;
    return new Promise((done, failed) => {
      let was = false;
      const patience = setTimeout(() => was || failed(new Unplayable(NO_WAY)), PATIENCE);
      pc.onconnectionstatechange = () => {
        const state = pc.connectionState;
        was ||= state === "connected";
        if (state === "failed" || state === "closed") (clearTimeout(patience), was ? done() : failed(new Unplayable(NO_WAY)));
      };
    });
  }

  stop() {
    this.over.abort();
    this.leave();
    this.video.srcObject = null;
  }

  /// Takes leave, and closes the connection after it: who is gone has no session to take leave of. The server sees by itself when this does not
  /// reach it.
  leave() {
    const { pc, session, authorization } = this;
    this.session = null;
    const left = session ? fetch(session, { method: "DELETE", headers: authorization, keepalive: true }) : Promise.resolve();
    left.catch(() => {}).finally(() => pc.close());
  }

  /// How far what is shown is behind the server, in seconds; `now` is its clock in milliseconds. Sender reports say when what is shown was there
  /// (RFC 3550, 6.4.1). Before them: half a round trip, and what the browser holds pictures for.
  async delay(now) {
    const stats = [...(await this.pc.getStats()).values()];
    const inbound = stats.find((one) => one.type === "inbound-rtp" && one.kind === "video") ?? stats.find((one) => one.type === "inbound-rtp");
    if (inbound?.estimatedPlayoutTimestamp) return Math.max(0, now - (inbound.estimatedPlayoutTimestamp - SINCE_1900)) / 1000;
    const pair = stats.find((one) => one.type === "candidate-pair" && one.nominated);
    if (!inbound?.jitterBufferEmittedCount || pair?.currentRoundTripTime === undefined) return null;
    return inbound.jitterBufferDelay / inbound.jitterBufferEmittedCount + pair.currentRoundTripTime / 2;
  }
}
