// Runs certified OpenID providers (npm's oidc-provider) for the Python tests: one JSON request per line on
// stdin, one JSON answer per line on stdout.
//
//   {id, op, ...}  ->  {id, ok: value} or {id, failed: text}
//
// Each issuer has an HTTP server of its own on a free port of the loopback. In front of the provider stands
// what a network or a broken deployment does to it: `fault` answers a path wrongly, or not at all, and every
// request is counted before that.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

console.info = console.error; // the provider's own notices; stdout is for answers

const AUDIENCE = "realtime";
const SCOPES = "chat:connect chat:write";
const PLACES = { discovery: "/.well-known/openid-configuration", keys: "/jwks" };
const issuers = new Map();

const newKey = (kid) => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
};

const resourceServer = (issuer) => ({
  scope: SCOPES,
  audience: AUDIENCE,
  accessTokenFormat: "jwt", // RFC 9068
  accessTokenTTL: issuer.lifetime,
});

// A session's identifier, as Keycloak puts it into access tokens, too: logouts name it.
const sidOf = ({ AuthorizationCode, RefreshToken }) => (AuthorizationCode ?? RefreshToken)?.sid;

// What the provider stores: sessions, grants, tokens. It outlives the changes of an issuer.
const adapter = (stored) => (model) => ({
  upsert: async (id, payload) => void stored.set(`${model}:${id}`, payload),
  find: async (id) => stored.get(`${model}:${id}`),
  findByUid: async (uid) => [...stored.values()].find((payload) => payload.uid === uid),
  consume: async (id) => void (stored.get(`${model}:${id}`).consumed = Math.floor(Date.now() / 1000)),
  destroy: async (id) => void stored.delete(`${model}:${id}`),
  async revokeByGrantId(grantId) {
    stored.forEach((payload, key) => payload.grantId === grantId && stored.delete(key));
  },
});

const configuration = (issuer) => ({
  adapter: adapter(issuer.stored),
  jwks: { keys: issuer.published.map((kid) => issuer.keys.get(kid)) },
  cookies: { keys: ["tests"] },
  pkce: { required: () => false },
  routes: { jwks: PLACES.keys },
  clients: [
    {
      client_id: "chat-client",
      client_secret: "chat-secret",
      redirect_uris: ["http://127.0.0.1/callback"],
      grant_types: ["authorization_code", "refresh_token"],
      backchannel_logout_uri: issuer.logout,
      backchannel_logout_session_required: true,
    },
    {
      client_id: "service",
      client_secret: "service-secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    backchannelLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${AUDIENCE}`,
      getResourceServerInfo: () => resourceServer(issuer),
      useGrantedResource: () => true,
    },
  },
  scopes: ["openid", "offline_access"],
  issueRefreshToken: () => true,
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  extraTokenClaims: (ctx, token) =>
    token.kind === "AccessToken" ? { sid: sidOf(ctx.oidc.entities), projects: ["apollo"] } : undefined,
  interactions: { url: (ctx, interaction) => `/login/${interaction.uid}` },
  // Whoever logs in has agreed: what the user is asked is not what these tests are about.
  async loadExistingGrant(ctx) {
    const { client, session, provider } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid offline_access");
    grant.addResourceScope(`urn:${AUDIENCE}`, SCOPES);
    await grant.save();
    return grant;
  },
  // Without the dispatcher that keeps requests from the loopback, where logouts go to here.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
});

// What is published and who is told of logouts is fixed when a provider is made, so it is made anew.
const make = (issuer) => {
  issuer.provider = new Provider(issuer.url, configuration(issuer));
  issuer.provider.on("backchannel.success", (ctx, client, sub, sid) => issuer.told.push({ sub, sid }));
  issuer.provider.on("backchannel.error", (ctx, error, client, sub, sid) => {
    issuer.told.push({ sub, sid, error: String(error?.message ?? error) });
  });
  issuer.provider.on("server_error", (ctx, error) => console.error(error));
  issuer.answer = issuer.provider.callback();
};

const faults = {
  reset: (request) => request.socket.resetAndDestroy(),
  status: (request, response) => response.writeHead(503).end("down for maintenance"),
  garbage: (request, response) => response.writeHead(200).end("<html>\u0000 log in to this network </html>"),
  empty: (request, response) => response.writeHead(200).end('{"keys": []}'),
  redirect: (request, response) => response.writeHead(302, { Location: `/moved${request.url}` }).end(),
  huge(request, response) {
    response.writeHead(200);
    const block = Buffer.alloc(1 << 16, " ");
    let left = 1024; // 64 MiB, without a length announced
    const more = () => {
      while (left-- > 0) if (!response.write(block)) return response.once("drain", more);
      return response.end("{}");
    };
    more();
  },
  slow(request, response) {
    response.writeHead(200);
    const timer = setInterval(() => response.write(" "), 100);
    response.on("close", () => clearInterval(timer));
  },
};

// The login page of the tests: who posts a name is logged in by it.
const logIn = async (issuer, request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const login = { accountId: new URLSearchParams(body).get("login") };
  await issuer.provider.interactionFinished(request, response, { login });
};

const serve = (issuer) => (request, response) => {
  const path = request.url.split("?")[0];
  issuer.asked[path] = (issuer.asked[path] ?? 0) + 1;
  const fault = issuer.faults.get(path);
  if (fault) faults[fault](request, response);
  else if (path.startsWith("/login/")) logIn(issuer, request, response);
  else if (path.startsWith("/moved/")) {
    request.url = request.url.slice("/moved".length);
    issuer.answer(request, response);
  } else issuer.answer(request, response);
};

const operations = {
  async open({ issuer: name, published }) {
    const issuer = { keys: new Map(), faults: new Map(), asked: {}, told: [], lifetime: 3600 };
    issuer.stored = new Map();
    issuer.server = createServer(serve(issuer));
    await new Promise((resolve) => issuer.server.listen(0, "127.0.0.1", resolve));
    issuer.url = `http://127.0.0.1:${issuer.server.address().port}`;
    issuer.logout = `${issuer.url}/nobody-listens`;
    issuers.set(name, issuer);
    operations.change({ issuer: name, published });
    return issuer.url;
  },
  // The first of the published keys signs.
  change({ issuer: name, ...changed }) {
    const issuer = Object.assign(issuers.get(name), changed);
    issuer.published.forEach((kid) => issuer.keys.has(kid) || issuer.keys.set(kid, newKey(kid)));
    make(issuer);
    return null;
  },
  // Forgets a key, so that the next one of that name is another.
  forget({ issuer, kid }) {
    issuers.get(issuer).keys.delete(kid);
    return null;
  },
  key: ({ issuer, kid }) => issuers.get(issuer).keys.get(kid),
  fault({ issuer, place, fault }) {
    issuers.get(issuer).faults.set(PLACES[place], fault);
    return null;
  },
  asked: ({ issuer }) => issuers.get(issuer).asked,
  told: ({ issuer }) => issuers.get(issuer).told,
};

createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on("line", async (line) => {
    const request = JSON.parse(line);
    let answer;
    try {
      answer = { id: request.id, ok: (await operations[request.op](request)) ?? null };
    } catch (error) {
      answer = { id: request.id, failed: String(error?.stack ?? error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  })
  .on("close", () => process.exit(0));
