// The call page: a room, and calls of two in it. Names come from strangers: they are only ever text.

import { Signaling } from "./signaling.js";
import { Session } from "./call.js";

const find = (id) => document.getElementById(id);
const { signal } = document.documentElement.dataset;
const signaling = new Signaling(new URL(signal, location).href.replace(/^http/, "ws"));
const state = { room: null, members: new Map(), policy: {}, session: null, peer: null, call: null, media: null, incoming: null, early: [] };

/// What the states are called, and how they look.
const SERVER = { connecting: ["connecting …", "wait"], open: ["connected", "good"], away: ["connection lost, coming back …", "bad"], closed: ["not connected", ""] };
const ICE = {
  new: ["not begun", ""], checking: ["looking for a way …", "wait"], connected: ["connected", "good"], completed: ["connected", "good"],
  disconnected: ["interrupted …", "bad"], failed: ["no way found", "bad"], closed: ["ended", ""],
};
const ENDED = {
  "hung-up": "The call is over.", cancelled: "The call was taken back.", rejected: "They do not want to talk now.", busy: "They are in another call.",
  timeout: "Nobody answered.", left: "They left the room.", lost: "They lost their connection and did not come back.",
};

function show(id, [words, look]) {
  const element = find(id);
  element.textContent = words;
  element.className = look;
}

function tell(words) {
  find("trouble").textContent = words ?? "";
  find("trouble").hidden = !words;
}

const make = (name, words, attributes = {}) => Object.assign(document.createElement(name), { textContent: words }, attributes);

/// Camera and microphone, or what there is of them.
async function media() {
  if (state.media) return state.media;
  if (!navigator.mediaDevices) throw new Error("This browser gives a page the camera only over HTTPS or on localhost: open the page that way.");
  const errors = {
    NotAllowedError: "The browser was not allowed to use camera and microphone: allow it beside the address of the page, then call again.",
    NotFoundError: "There is neither a camera nor a microphone here.",
    NotReadableError: "Another program is using the camera or the microphone.",
  };
  for (const wish of [{ audio: true, video: { width: 640, height: 360 } }, { audio: true }, { video: true }]) {
    try {
      state.media = await navigator.mediaDevices.getUserMedia(wish);
      find("local").srcObject = state.media;
      return state.media;
    } catch (error) {
      if (error.name !== "NotFoundError" || (wish.video === true && !wish.audio)) throw new Error(errors[error.name] ?? error.message);
    }
  }
}

function draw() {
  const others = [...state.members.values()].filter((member) => member.peer !== signaling.id);
  find("room-name").textContent = state.room ?? "";
  find("people").replaceChildren(...others.map((member) => {
    const item = make("li");
    const away = member.presence === "away" ? " · connection lost" : "";
    const muted = member.muted.length > 0 ? ` · ${member.muted.join(" and ")} off` : "";
    const name = make("span");
    name.append(make("strong", member.name), make("small", `${member.role}${away}${muted}`));
    item.append(name, make("button", "Call", { type: "button", disabled: !!state.call, onclick: () => invite(member) }));
    return item;
  }));
  find("nobody").hidden = others.length > 0 || !state.room;
  find("join").hidden = !!state.room;
  find("talk").hidden = !state.room;
  find("hangup").hidden = !state.call;
  find("ring").hidden = !state.incoming;
  if (state.incoming) find("caller").textContent = `${state.incoming.from.name} calls.`;
  const name = state.members.get(state.peer)?.name ?? "them";
  const words = { asking: `Calling ${name} …`, ringing: `It rings at ${name} …`, open: "" };
  find("hint").textContent = state.call ? words[state.call] : "Choose somebody to call.";
  find("hint").hidden = state.call === "open" && find("remote").videoWidth > 0;
  find("with").textContent = state.call === "open" ? `With ${name}` : "";
  show("ice", ICE[state.session?.connection.iceConnectionState ?? "new"]);
  find("connection").textContent = state.session?.connection.connectionState ?? "–";
}

function end(words) {
  state.session?.close();
  Object.assign(state, { session: null, peer: null, call: null, incoming: null, early: [] });
  find("remote").srcObject = null;
  tell(words);
  draw();
}

async function invite(member) {
  tell(null);
  try {
    await media();
    Object.assign(state, { call: "asking", peer: member.peer });
    draw();
    const answer = await signaling.ask({ type: "invite", to: member.peer, media: state.media.getTracks().map((track) => track.kind) });
    if (answer.type === "inviting") state.id = answer.session;
  } catch (error) {
    end(error.message);
  }
}

async function accept() {
  const { session, from } = state.incoming;
  try {
    await media();
    Object.assign(state, { incoming: null, peer: from.peer, id: session, call: "asking" });
    signaling.say({ type: "accept", session });
  } catch (error) {
    signaling.say({ type: "reject", session });
    end(error.message);
  }
  draw();
}

/// The call begins: who is impolite makes the first offer, by its tracks.
async function begin({ session: id, peer, polite }) {
  const stream = await media();
  Object.assign(state, { id, peer, call: "open", incoming: null });
  const session = (state.session = new Session(signaling, id, polite, state.policy));
  session.addEventListener("stream", ({ detail }) => (find("remote").srcObject = detail));
  session.addEventListener("change", () => {
    draw();
    explain(session);
  });
  session.send(stream);
  const early = state.early.splice(0);
  for (const message of early) await session.hear(message);
  draw();
}

/// Says what is wrong with a way that was not found.
async function explain(session) {
  const ice = session.connection.iceConnectionState;
  if (ice === "connected" || ice === "completed") return tell(null);
  if (ice === "disconnected") return tell("The way to the other side is interrupted. It is looked for again.");
  if (ice !== "failed") return;
  const { tried, kinds } = await session.stats();
  const relay = signaling.iceServers.some((server) => server.urls.some((url) => url.startsWith("turn")));
  const help = kinds.includes("relay") ? "Even the relay was not reached by the other side." : relay
    ? "The TURN server did not answer, or did not take the credentials." : "The server names no TURN server, which two strict networks need between them.";
  tell(`No way was found between the two networks: ${tried} pairs of addresses were tried (${kinds.join(", ") || "none of ours"}). ${help}`);
}

signaling.addEventListener("state", ({ detail: { state: now, words } }) => {
  show("server", SERVER[now]);
  if (now === "closed" && state.room) {
    state.room = null;
    state.members.clear();
    end(words && `The server has ended the connection: ${words}.`);
  }
  draw();
});

signaling.addEventListener("welcome", ({ detail }) => {
  if (detail.state === "resumed") return;
  // The server is another one: it does not know rooms and calls any more.
  const room = state.room ?? find("room").value;
  signaling.ask({ type: "join", room }).catch((error) => {
    tell(`The room cannot be entered: ${error.message}.`);
    signaling.close();
  });
  if (detail.state === "restored" && state.call === "open") signaling.say({ type: "reopen", session: state.id, with: state.peer, polite: state.session.polite });
});

const on = (type, hear) => signaling.addEventListener(type, ({ detail }) => {
  hear(detail);
  draw();
});
on("joined", ({ room, members, policy }) => Object.assign(state, { room, policy, members: new Map(members.map((member) => [member.peer, member])) }));
on("member-joined", ({ member }) => state.members.set(member.peer, member));
on("member-changed", ({ member }) => state.members.set(member.peer, member));
on("member-left", ({ peer }) => state.members.delete(peer));
on("left", ({ reason }) => {
  state.room = null;
  state.members.clear();
  end(reason === "kicked" ? "A moderator has taken you out of the room." : null);
  signaling.close();
});
on("policy", ({ video, audio }) => {
  state.policy = { video, audio };
  state.session?.prefer(state.policy);
});
on("invite", (message) => {
  state.incoming = message;
  signaling.say({ type: "ringing", session: message.session });
});
on("ringing", () => (state.call = "ringing"));
on("accepted", (message) => begin(message).catch((error) => tell(error.message)));
on("ended", ({ session, reason, message }) => {
  if (state.incoming?.session === session) state.incoming = null;
  else if (state.id === session) end(ENDED[reason] ?? message ?? reason);
});
for (const type of ["offer", "answer", "pranswer", "candidate"]) {
  on(type, (message) => {
    if (message.session !== state.id) return;
    // The camera may take longer than the offer.
    if (!state.session) return state.early.push(message);
    state.session.hear(message).catch((error) => tell(`The two browsers do not understand each other: ${error.message}`));
  });
}
on("error", ({ ref, message, hint }) => ref || tell(`${message}${hint ? `: ${hint}` : ""}.`));

find("join").addEventListener("submit", (event) => {
  event.preventDefault();
  tell(null);
  const name = find("name").value.trim(), key = find("key").value;
  signaling.open({ identity: name, name, ...(key ? { token: key } : {}) });
  history.replaceState(null, "", `#${new URLSearchParams({ room: find("room").value })}`);
});
find("leave").addEventListener("click", () => {
  if (state.call) signaling.say({ type: "hangup", session: state.id });
  signaling.close();
  state.media?.getTracks().forEach((track) => track.stop());
  state.media = null;
});
find("hangup").addEventListener("click", () => {
  if (state.id) signaling.say({ type: "hangup", session: state.id });
});
find("accept").addEventListener("click", accept);
find("reject").addEventListener("click", () => signaling.say({ type: "reject", session: state.incoming.session }));
for (const kind of ["audio", "video"]) {
  find(kind).addEventListener("click", ({ currentTarget: button }) => {
    const muted = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!muted));
    state.media?.getTracks().filter((track) => track.kind === kind).forEach((track) => (track.enabled = !muted));
    signaling.say({ type: "mute", room: state.room, kind, muted });
  });
}

setInterval(async () => {
  const seen = await state.session?.stats();
  const facts = seen ? {
    Picture: seen.width ? `${seen.width} × ${seen.height}, ${seen.codec?.replace("video/", "")}` : "–", "Pictures decoded": String(seen.frames),
    "There and back": seen.roundTrip === null ? "–" : `${Math.round(seen.roundTrip * 1000)} ms`, "Way": seen.local ? `${seen.local} to ${seen.remote}` : "–", "Packets lost": String(seen.lost),
  } : {};
  find("facts").replaceChildren(...Object.entries(facts).map(([term, value]) => {
    const pair = make("div");
    pair.append(make("dt", term), make("dd", value));
    return pair;
  }));
  if (seen) draw();
}, 1000);

const asked = new URLSearchParams(location.hash.slice(1));
if (asked.get("room")) find("room").value = asked.get("room");
window.call = { signaling, state };
draw();
