// Writes the binary messages of a WebSocket to a file, with the client of Node.
//
//   node --experimental-websocket record-ws.mjs ws://HOST:PORT/PATH FILE
//
// Exit code 0 when the server closed it normally, 1 otherwise, 2 when the command is wrong.

import { writeFile } from "node:fs/promises";

const [url, file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node --experimental-websocket record-ws.mjs URL FILE");
  process.exit(2);
}
const socket = new WebSocket(url);
const messages = [];
socket.binaryType = "arraybuffer";
socket.onmessage = ({ data }) => messages.push(Buffer.from(data));
socket.onclose = async ({ code }) => {
  await writeFile(file, Buffer.concat(messages));
  process.exit(code === 1000 ? 0 : 1);
};
