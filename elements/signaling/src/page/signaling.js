// The connection to the signaling server (docs/spec/signaling.md): it comes back by itself after a loss, and nothing is missed or done twice.

/// How long to wait before another attempt, in milliseconds: from the first up to the last, half of it by chance.
const FIRST = 500, LAST = 10_000;

/// Reasons after which one does not come back by itself.
const FINAL = new Set(["bye", "replaced", "expired", "not-allowed", "too-fast", "protocol", "hello-timeout"]);

/// Events: `state` (`detail` is `connecting`, `open`, `away` or `closed`) and one for each type of message.
export class Signaling extends EventTarget {
  #socket; #hello; #resume; #timer; #wait = FIRST;
  #said = 0; #unheard = []; #last = 0; #refs = new Map(); #ref = 0;
  state = "closed";
  id = null;
  losses = 0;
  iceServers = [];

  constructor(url) {
    super();
    this.url = url;
  }

  /// Comes as somebody: `identity`, `name`, `token`.
  open(who) {
    this.#hello = { type: "hello", version: 1, ...who };
    this.#connect();
  }

  /// Leaves for good.
  close() {
    clearTimeout(this.#timer);
    this.#resume = null;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "bye" }));
    this.#set("closed");
  }

  /// Loses the connection, as a network does: for tests.
  lose() {
    this.losses += 1;
    this.#socket.close(4999);
  }

  /// Says something, now or when the connection is back.
  say(message) {
    const numbered = { ...message, seq: ++this.#said };
    this.#unheard.push(numbered);
    if (this.state === "open") this.#socket.send(JSON.stringify(numbered));
  }

  /// Says something and waits for the direct answer; an `error` is thrown.
  ask(message) {
    const ref = String(++this.#ref);
    return new Promise((done, failed) => {
      this.#refs.set(ref, { done, failed });
      this.say({ ...message, ref });
    });
  }

  #connect() {
    this.#set(this.#resume ? "away" : "connecting");
    const socket = (this.#socket = new WebSocket(this.url));
    let reason = null;
    socket.onopen = () => socket.send(JSON.stringify(this.#resume ? { ...this.#hello, resume: this.#resume, last: this.#last } : this.#hello));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "closed") reason = message;
      this.#hear(message);
    };
    socket.onclose = () => {
      if (socket !== this.#socket || this.state === "closed") return;
      if (FINAL.has(reason?.reason)) return this.#set("closed", reason.message);
      this.#set("away");
      this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.5 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LAST);
    };
  }

  #hear(message) {
    if (message.seq !== undefined) {
      if (message.seq <= this.#last) return;
      this.#last = message.seq;
    }
    if (message.type === "welcome") this.#welcome(message);
    const asked = this.#refs.get(message.ref);
    if (asked) {
      this.#refs.delete(message.ref);
      message.type === "error" ? asked.failed(Object.assign(new Error(message.message), message)) : asked.done(message);
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #welcome(message) {
    this.#resume = message.resume;
    this.#wait = FIRST;
    this.id = message.id;
    this.iceServers = message["ice-servers"];
    if (message.state === "resumed") {
      this.#unheard = this.#unheard.filter((one) => one.seq > message.heard);
    } else {
      // What was said to a server that does not know it is said anew by whoever needs it.
      this.#last = 0;
      this.#unheard = this.#unheard.filter((one) => message.state === "new" || one.type === "bye");
    }
    this.#set("open");
    this.#unheard.forEach((one) => this.#socket.send(JSON.stringify(one)));
    if (message.state !== "resumed") this.#unheard = [];
  }

  #set(state, words) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, words } }));
  }
}
