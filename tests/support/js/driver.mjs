// Drives the unmodified socket.io-client for the Python tests: one JSON request per line on stdin, one JSON
// answer or event per line on stdout. Bytes travel as {"$bytes": base64} in both directions.
//
//   {id, op, ...}  ->  {id, ok: value} or {id, failed: text}
//   and, at any time, {socket, kind, value}: what a socket saw
//
// Not a test itself: it decides nothing and hides nothing.

import { createInterface } from "node:readline";
import { Manager } from "socket.io-client";

const managers = new Map();
const sockets = new Map();
const auths = new Map();

const toBytes = (value) => {
  if (Array.isArray(value)) return value.map(toBytes);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "base64");
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toBytes(item)]));
};

const fromBytes = (value) => {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(fromBytes);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromBytes(item)]));
};

const write = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const seen = (socket, kind, value) => write({ socket, kind, value: fromBytes(value) });

// What belongs to Socket.IO itself comes under its own kind; everything else is an event of the server.
const watch = (name, socket) => {
  socket.on("connect", () => seen(name, "connect", { sid: socket.id, recovered: socket.recovered }));
  socket.on("connect_error", (error) => {
    seen(name, "connect_error", { message: error.message, data: error.data ?? null, active: socket.active });
  });
  socket.on("disconnect", (reason) => seen(name, "disconnect", { reason, active: socket.active }));
  socket.onAny((event, ...args) => seen(name, "event", [event, ...args]));
};

const watchManager = (name, manager) => {
  manager.on("open", () => {
    seen(name, "open", { transport: manager.engine.transport.name });
    manager.engine.on("upgrade", (transport) => seen(name, "upgrade", { transport: transport.name }));
  });
  manager.on("close", (reason) => seen(name, "close", { reason }));
  manager.on("reconnect", (attempt) => seen(name, "reconnect", { attempt }));
};

const operations = {
  manager({ manager: name, url, options }) {
    const manager = new Manager(url, { autoConnect: false, reconnection: false, ...options });
    watchManager(name, manager);
    managers.set(name, manager);
    return null;
  },
  // The token is given by a function, as applications do that refresh theirs; `auth` changes what it returns.
  socket({ socket: name, manager, namespace, auth }) {
    auths.set(name, auth);
    const socket = managers.get(manager).socket(namespace, { auth: (answer) => answer(auths.get(name)) });
    watch(name, socket);
    sockets.set(name, socket);
    socket.connect();
    return null;
  },
  auth({ socket, auth }) {
    auths.set(socket, auth);
    return null;
  },
  connect({ socket }) {
    sockets.get(socket).connect();
    return null;
  },
  async emit({ socket: name, event, args, ack, timeout }) {
    const socket = sockets.get(name);
    const sent = toBytes(args);
    if (!ack) {
      socket.emit(event, ...sent);
      return null;
    }
    return fromBytes(await socket.timeout(timeout).emitWithAck(event, ...sent));
  },
  disconnect({ socket }) {
    sockets.get(socket).disconnect();
    return null;
  },
  transport({ manager }) {
    return managers.get(manager).engine?.transport?.name ?? null;
  },
  // Writes bytes that no client would write, on the manager's own connection.
  raw({ manager, packet }) {
    managers.get(manager).engine.write(packet);
    return null;
  },
  // Ends the connection as a lost network does: no packet says goodbye. On polling that means every HTTP
  // connection of this process, since the client does not tell which are its own, once the next GET is under
  // way: between two of them nobody could notice.
  async drop({ manager }) {
    const transport = managers.get(manager).engine.transport;
    if (transport.ws) {
      transport.ws.terminate();
    } else {
      await new Promise((resolve) => setTimeout(resolve, 200));
      process._getActiveHandles().forEach((handle) => handle.remotePort && handle.destroy());
    }
    return null;
  },
};

createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on("line", async (line) => {
    const request = JSON.parse(line);
    try {
      write({ id: request.id, ok: (await operations[request.op](request)) ?? null });
    } catch (error) {
      write({ id: request.id, failed: String(error?.message ?? error) });
    }
  })
  // The test is over: connections end as those of a page that is closed in good order, then Node ends by itself.
  .on("close", () => {
    managers.forEach((manager) => {
      manager.reconnection(false);
      manager.engine?.close();
    });
  });

write({ ready: process.versions.node });
