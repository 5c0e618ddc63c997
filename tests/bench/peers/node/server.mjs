// Node's Socket.IO server with the job that ours has by configuration: tokens checked by RS256 and remembered, a
// scope to connect, a claim that names the room to join, membership to publish.
//
// node server.mjs PORT TLS_PORT PUBLIC_KEY CERTIFICATE KEY

import { createPublicKey } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { readFileSync } from "node:fs";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";

const [port, tlsPort, publicKey, certificate, key] = process.argv.slice(2);
const trusted = createPublicKey(readFileSync(publicKey)); // read once: from PEM each check would cost more
const CHECKS = { algorithms: ["RS256"], issuer: "https://id.bench.example", audience: "bench" };
const MOST_REMEMBERED = 50_000;

const remembered = new Map(); // token → claims: a reconnect costs no signature, as with ours

function verify(token) {
  let claims = remembered.get(token);
  if (claims !== undefined && claims.exp * 1000 > Date.now()) return claims;
  claims = jwt.verify(token, trusted, CHECKS);
  if (remembered.size >= MOST_REMEMBERED) remembered.delete(remembered.keys().next().value);
  remembered.set(token, claims);
  return claims;
}

const refusal = (code) => ({ ok: false, error: { code } });

const io = new Server({ transports: ["websocket", "polling"], perMessageDeflate: false, httpCompression: false });

io.use((socket, next) => {
  try {
    const claims = verify(socket.handshake.auth.token);
    if (!claims.scope.split(" ").includes("chat")) return next(new Error("scope_missing"));
    socket.data.user = claims.sub;
    socket.data.groups = new Set(claims.groups);
    next();
  } catch {
    next(new Error("token_invalid"));
  }
});

io.on("connection", (socket) => {
  const { user, groups } = socket.data;
  socket.on("join", (room, options, ack) => {
    const answer = typeof options === "function" ? options : ack;
    if (typeof room !== "string" || !room.startsWith("room:")) return answer?.(refusal("unknown_room"));
    if (!groups.has(room.slice(5))) return answer?.(refusal("rule_denied"));
    socket.join(room);
    answer?.({ ok: true, room });
  });
  socket.on("publish", (room, event, data, ack) => {
    if (!socket.rooms.has(room)) return ack?.(refusal("not_a_member"));
    if (event !== "message") return ack?.(refusal("unknown_event"));
    socket.to(room).emit(event, data, { room, from: { user } });
    ack?.({ ok: true });
  });
});

const plain = createServer();
const secure = createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) });
io.attach(plain);
io.attach(secure);
plain.listen(Number(port), "127.0.0.1");
secure.listen(Number(tlsPort), "127.0.0.1");
