// One session: a peer connection that negotiates perfectly (W3C WebRTC, 10.7) through the signaling server.

/// Events: `change` when a state has changed, `stream` with the stream of the other end.
export class Session extends EventTarget {
  #waiting = null; #makes = false; #ignores = false; #signaling; #senders = [];
  remote = new MediaStream();

  constructor(signaling, id, polite, policy) {
    super();
    Object.assign(this, { id, polite, policy });
    this.#signaling = signaling;
    const connection = (this.connection = new RTCPeerConnection({ iceServers: signaling.iceServers, iceTransportPolicy: window.RELAY_ONLY ? "relay" : "all" }));
    connection.onnegotiationneeded = () => this.#offer();
    connection.onicecandidate = ({ candidate }) => this.#say({ type: "candidate", candidate: candidate?.toJSON() ?? null });
    connection.ontrack = ({ track }) => {
      this.remote.addTrack(track);
      this.dispatchEvent(new CustomEvent("stream", { detail: this.remote }));
    };
    for (const event of ["iceconnectionstatechange", "connectionstatechange", "signalingstatechange"]) {
      connection.addEventListener(event, () => this.dispatchEvent(new Event("change")));
    }
    connection.addEventListener("iceconnectionstatechange", () => {
      // The impolite end begins anew; two at once would only meet.
      if (connection.iceConnectionState === "failed" && !this.polite) connection.restartIce();
    });
  }

  /// Sends the tracks of a stream: with an offer, or from the polite end with its first answer, so that two offers do not meet without need.
  send(stream) {
    if (this.polite && !this.connection.remoteDescription) {
      this.#waiting = stream;
      return;
    }
    this.#senders = stream.getTracks().map((track) => this.connection.addTrack(track, stream));
    this.#prefer();
  }

  /// Prefers these codecs from now on.
  prefer(policy) {
    this.policy = policy;
    this.#prefer();
    if (this.connection.signalingState === "stable" && this.#senders.length > 0) this.#offer();
  }

  /// Hears `offer`, `answer`, `pranswer` or `candidate`.
  async hear(message) {
    const connection = this.connection;
    if (message.type === "candidate") {
      try {
        await connection.addIceCandidate(message.candidate ?? undefined);
      } catch (error) {
        // One of an offer that was not taken, or of a generation that is over.
        if (!this.#ignores) console.debug(error.message);
      }
      return;
    }
    const meets = message.type === "offer" && (this.#makes || connection.signalingState !== "stable");
    this.#ignores = meets && !this.polite;
    if (this.#ignores) return;
    await connection.setRemoteDescription({ type: message.type, sdp: message.sdp });
    if (message.type !== "offer") return;
    if (this.#waiting) this.send(this.#waiting);
    this.#waiting = null;
    this.#prefer();
    await connection.setLocalDescription();
    this.#say({ type: "answer", sdp: connection.localDescription.sdp });
  }

  close() {
    this.connection.onicecandidate = null;
    this.connection.close();
  }

  async #offer() {
    try {
      this.#makes = true;
      await this.connection.setLocalDescription();
      if (this.connection.localDescription.type === "offer") this.#say({ type: "offer", sdp: this.connection.localDescription.sdp });
    } finally {
      this.#makes = false;
    }
  }

  #say(message) {
    this.#signaling.say({ ...message, session: this.id });
  }

  #prefer() {
    for (const transceiver of this.connection.getTransceivers()) {
      const kind = transceiver.receiver.track.kind;
      const wanted = this.policy?.[kind] ?? [];
      const known = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
      const place = (codec) => wanted.findIndex((name) => codec.mimeType.toLowerCase() === `${kind}/${name.toLowerCase()}`);
      const rank = (codec) => (place(codec) < 0 ? wanted.length : place(codec));
      if (wanted.length > 0 && known.length > 0) transceiver.setCodecPreferences?.([...known].sort((a, b) => rank(a) - rank(b)));
    }
  }

  /// What the browser counts: frames, codec, size, and the pair of candidates in use.
  async stats() {
    const all = [...(await this.connection.getStats()).values()];
    const of = (type, kind) => all.find((one) => one.type === type && (!kind || one.kind === kind)) ?? {};
    const video = of("inbound-rtp", "video"), audio = of("inbound-rtp", "audio");
    const by = (id) => all.find((one) => one.id === id) ?? {};
    const pair = all.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded") ?? {};
    return {
      frames: video.framesDecoded ?? 0, width: video.frameWidth ?? 0, height: video.frameHeight ?? 0, codec: by(video.codecId).mimeType ?? null,
      audioEnergy: audio.totalAudioEnergy ?? 0, audioPackets: audio.packetsReceived ?? 0, lost: (video.packetsLost ?? 0) + (audio.packetsLost ?? 0),
      roundTrip: pair.currentRoundTripTime ?? null, local: by(pair.localCandidateId).candidateType ?? null, remote: by(pair.remoteCandidateId).candidateType ?? null,
      tried: all.filter((one) => one.type === "candidate-pair").length,
      kinds: [...new Set(all.filter((one) => one.type === "local-candidate").map((one) => one.candidateType))],
    };
  }
}
