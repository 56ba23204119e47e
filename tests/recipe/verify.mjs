// A verifier in JavaScript, as the model for other languages: docs/other-languages.md.
//
//     node verify.mjs redis://127.0.0.1:6379 schemas/vectors/decision.json
//
// asks a region whose entries are those of the vectors, compares every answer, lists
// the differences and exits with 1 if there is one.

import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { blake2b } from "@noble/hashes/blake2";

// Keys -------------------------------------------------------------------------------

const LETTERS = {
  token: "t", session: "s", user: "u", grant: "g", client: "c",
  tenant: "n", issuer: "i", key: "k", resource: "r", claims: "l",
};

/** The key of a target: `{prefix}`, a letter, 16 bytes. */
function keyOf({ kind, issuer, id }, { pepper, prefix }) {
  const key = Buffer.from(pepper.trim()).subarray(0, 64);
  const digest = blake2b(`${issuer}|${kind}|${id}`, { key, dkLen: 16 });
  return Buffer.concat([Buffer.from(`{${prefix}}${LETTERS[kind]}`), digest]);
}

/** The id of a grant: a bar ends the client, so none may be in it. */
function grantId(user, client) {
  return `${client.replaceAll("%", "%25").replaceAll("|", "%7C")}|${user}`;
}

/** Percent-encodes all but what RFC 3986 calls unreserved. */
function encode(text) {
  const escape = (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, escape);
}

// Agreement --------------------------------------------------------------------------

const LAYOUT_VERSION = 3;

/** What every reader must find, one of each kind: no token can name them. */
const CANARIES = Object.keys(LETTERS).map((kind) => {
  return { kind, issuer: "revocation canary", id: "canary" };
});

/** The receipt of the canaries of an epoch. */
function canaryReceipt(epoch) {
  const digest = blake2b(epoch.toString(), { dkLen: 6 });
  return `0-${Buffer.from(digest).readUIntBE(0, 6)}`;
}

/** Tells a pepper from others. */
function fingerprint(pepper) {
  const key = Buffer.from(pepper.trim()).subarray(0, 64);
  return Buffer.from(blake2b("revocation pepper", { key, dkLen: 8 })).toString("hex");
}

/** The first setting that the region has otherwise than this verifier needs it. */
function findDifference(identity, { pepper, rules, settings }) {
  if (identity.layout !== LAYOUT_VERSION) return "layout";
  if (identity.region !== settings.region) return "region";
  if (identity.peppers.some((each) => each !== fingerprint(pepper))) return "pepper";
  const needed = {
    max_token_lifetime_seconds: rules.longest_token_ms / 1000,
    max_session_seconds: settings.max_session_seconds,
    leeway_seconds: rules.leeway_ms / 1000,
    clock_allowance_seconds: rules.clock_allowance_ms / 1000,
  };
  const written = (names) => names.map(encode).sort().join();
  const looksFor = rules.revocable_claims.map(written);
  if (!identity.revocable_claims.every((names) => looksFor.includes(written(names)))) {
    return "revocable_claims";
  }
  const tooShort = ([name, seconds]) => identity.lifetimes[name] < seconds;
  return Object.entries(needed).find(tooShort)?.[0] ?? null;
}

// Tokens -----------------------------------------------------------------------------

const LATEST = 253_402_300_799; // The year 9999, in seconds.

/** An id that an event can name. Code points are counted, not UTF-16 units. */
function isId(value) {
  if (typeof value !== "string" || value === "") return false;
  return [...value].length <= 512 && !/\p{Surrogate}/u.test(value);
}

function isIssuer(value) {
  return isId(value) && /^[!#-\[\]-{}~]+$/.test(value);
}

function isResource(value) {
  return isId(value) && /^[^:]+:[\s\S]/.test(value);
}

/** The members that a claim's name leads through: dots, unless `\.` or in a URI. */
function splitName(name) {
  if (name.includes(":")) return [name];
  return name.split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
}

const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const memberOf = (object, name) => (Object.hasOwn(object, name) ? object[name] : null) ?? null;
/** What is found where a name cannot be followed: nothing that is a name or a number. */
const UNREADABLE = {};

function findClaim(claims, name) {
  const [first, ...rest] = splitName(name);
  let found = memberOf(claims, first);
  if (rest.length && Object.hasOwn(claims, name)) return UNREADABLE;
  for (const part of rest) {
    if (found === null) return null;
    if (!isObject(found)) return UNREADABLE;
    found = memberOf(found, part);
  }
  return found;
}

/** The members of a list, or the value itself; what is empty is none. */
function membersOf(value) {
  return [value].flat().filter((each) => each !== null && each !== "");
}

/** A value as ids have it, or null if no event can name it. */
function write(value) {
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return encode(`${value}`);
  return isId(value) ? encode(value) : null;
}

const MOST_COMBINATIONS = 1024;

/** The ids of what a token names of claim sets, or null if that cannot be said. */
function claimIds(claims, sets) {
  const ids = [];
  for (const set of sets) {
    const names = [...set].sort((one, other) => (encode(one) < encode(other) ? -1 : 1));
    const values = names.map((name) => membersOf(findClaim(claims, name)));
    if (values.some((members) => members.length === 0)) continue;
    const written = values.map((members) => [...new Set(members.map(write))]);
    if (written.some((each) => each.includes(null))) return null;
    const count = written.reduce((product, each) => product * each.length, 1);
    if (ids.length + count > MOST_COMBINATIONS) return null;
    let combined = [""];
    written.forEach((each, at) => {
      const pairs = each.map((value) => `${at ? "&" : ""}${encode(names[at])}=${value}`);
      combined = combined.flatMap((before) => pairs.map((pair) => before + pair));
    });
    ids.push(...combined);
  }
  return ids;
}

/** What a token names, or `{ problem }`: then it is unverifiable. */
function readToken(claims, rules, kid, resources) {
  const refuse = (problem) => ({ problem, targets: [] });
  if (!isObject(claims)) return refuse("the claims are not a JSON object");
  const issuer = memberOf(claims, "iss");
  const names = memberOf(rules.issuers, issuer) ?? rules.names;
  const get = (name) => (name === null ? null : findClaim(claims, name));
  // None, or empty, is no name; anything else that is no id is a fault.
  const isName = (value) => value === null || value === "" || isId(value);

  if (!isName(kid ?? null)) return refuse("kid");
  if (!resources.every(isResource)) return refuse("resources");
  for (const name of ["iss", "iat", "exp", ...names.required]) {
    // 0, false and empty lists are there: a version of 0 is one.
    if ([null, "", UNREADABLE].includes(get(name))) return refuse(name);
  }
  if (!isIssuer(issuer)) return refuse("iss");
  const { user, token_id, sessions, clients, tenant } = names;
  for (const name of [user, token_id, ...sessions, ...clients, tenant]) {
    if (!isName(get(name))) return refuse(name);
  }
  for (const name of ["iat", "exp"]) {
    const value = get(name);
    if (typeof value !== "number" || !(value >= 0 && value <= LATEST)) return refuse(name);
  }
  const version = get(names.version);
  // A reader of JSON that tells 3.0 from 3 must refuse the former.
  if (version !== null && !Number.isInteger(version)) return refuse(names.version);

  const combinations = claimIds(claims, rules.revocable_claims);
  if (combinations === null) return refuse("revocable_claims");

  const all = (held) => [...new Set(held.map(get))].filter(Boolean);
  const clientIds = all(clients);
  const grants = get(user) ? clientIds.map((client) => grantId(get(user), client)) : [];
  const named = [
    ["token", get(token_id)],
    ...all(sessions).map((session) => ["session", session]),
    ["user", get(user)],
    ["tenant", get(tenant)],
    ["issuer", issuer],
    ["key", kid],
    ...clientIds.map((client) => ["client", client]),
    ...grants.map((grant) => ["grant", grant]),
    ...combinations.map((id) => ["claims", id]),
    ...resources.map((resource) => ["resource", resource]),
  ];
  return {
    targets: named.filter(([, id]) => id).map(([kind, id]) => ({ kind, issuer, id })),
    issuedAt: get("iat") * 1000 + names.backdated_ms,
    expiresAt: get("exp") * 1000,
    longest: Math.min(names.longest_ms ?? Infinity, rules.longest_token_ms),
    version,
  };
}

// Entries ----------------------------------------------------------------------------

/** Reads a value: one field is a denial, seven are a subject's state. */
function readEntry(target, [value, expiresAt]) {
  const [receipt, version, notBefore, status] = value.toString().split(" ");
  return {
    kind: target.kind,
    receipt,
    version: Number(version ?? 0),
    notBefore: Number(notBefore ?? 0),
    status: status ?? "active",
    expiresAt: expiresAt < 0 ? Infinity : expiresAt,
  };
}

/** One call: how fresh the region is, and the entries that it has. */
async function lookUp(server, targets, where) {
  const keys = new Map();
  for (const target of targets) {
    const key = keyOf(target, where);
    keys.set(key.toString("hex"), { target, key });
  }
  const asked = [...keys.values()];
  const meta = `{${where.prefix}}meta`;
  // Whoever does not find the canaries would not find what was revoked either.
  const all = [...asked.map(({ key }) => key), ...CANARIES.map((each) => keyOf(each, where))];
  const [epoch, ready, asOf, ...hits] = await server.call(
    "FCALL_RO", "revocation_find", 1 + all.length, meta, ...all,
  );
  const [identity] = await server.call("HMGET", meta, "identity");
  const cold = epoch === null;
  const canaries = hits.splice(asked.length);
  const entries = [];
  hits.forEach((hit, at) => {
    if (hit !== null && !cold) entries.push(readEntry(asked[at].target, hit));
  });
  const agrees =
    !cold &&
    identity !== null &&
    findDifference(JSON.parse(identity), where) === null &&
    canaries.every((hit) => hit && hit[0].toString().split(" ")[0] === canaryReceipt(epoch));
  return {
    keys: [...keys.keys()].sort(),
    entries,
    ready: agrees && ready.toString() === "1",
    asOf: cold ? 0 : Number(asOf),
  };
}

// The decision -----------------------------------------------------------------------

// The reason that is given is the first of these that rejects.
const REASONS = {
  key: "key_revoked",
  issuer: "issuer_revoked",
  tenant: "tenant_revoked",
  client: "client_revoked",
  user: "issued_before_cut_off",
  grant: "grant_revoked",
  claims: "claims_revoked",
  session: "session_ended",
  token: "token_revoked",
  resource: "resource_deleted",
};
const ORDER = Object.keys(REASONS);

function judgeUser(token, entry, rules) {
  if (entry.status === "deleted") return "user_deleted";
  if (entry.status === "disabled") return "user_disabled";
  if (token.version !== null && token.version < entry.version) return "version_superseded";
  // So close to the cut-off a counter tells old from new, and the clocks do not.
  const reached =
    token.version === null
      ? token.issuedAt <= entry.notBefore + rules.clock_allowance_ms
      : token.issuedAt < entry.notBefore - rules.clock_allowance_ms;
  return reached ? REASONS.user : null;
}

function judge(token, entry, rules, now) {
  if (entry.kind === "user") return judgeUser(token, entry, rules);
  const rejects =
    entry.kind === "token" || entry.kind === "session"
      ? now < entry.expiresAt
      : token.issuedAt <= entry.notBefore + rules.clock_allowance_ms ||
        entry.status !== "active";
  return rejects ? REASONS[entry.kind] : null;
}

function findFault(token, entries, rules, now, earliest) {
  if (token.problem) return { reason: "unverifiable" };
  if (token.issuedAt > earliest + rules.clock_allowance_ms) return { reason: "unverifiable" };
  if (token.expiresAt + rules.leeway_ms <= now) return { reason: "expired" };
  if (token.expiresAt - token.issuedAt > token.longest) {
    return { reason: "lifetime_exceeded" };
  }
  const place = ({ kind }) => ORDER.indexOf(kind);
  const inOrder = [...entries].sort((one, other) => place(one) - place(other));
  for (const entry of inOrder) {
    const reason = judge(token, entry, rules, now);
    if (reason) return { reason, receipt: entry.receipt };
  }
  return { reason: "active" };
}

/** `now` is the latest time that it may be, `earliest` the earliest. */
function decide(token, { entries, ready, asOf }, policy, rules, now, earliest) {
  let staleness = now - asOf;
  if (staleness < 0) {
    // A watermark of the future: some clock is wrong by so much.
    staleness = -staleness > rules.clock_allowance_ms ? -staleness : 0;
  }
  let { reason, receipt = null } = ready
    ? findFault(token, entries, rules, now, earliest)
    : { reason: "not_ready" };
  let active = reason === "active";
  if (active && staleness > policy.max_staleness_ms && policy.beyond !== "allow") {
    active = false;
    reason = "stale";
  }
  const stale = staleness > policy.fresh_ms || staleness > policy.max_staleness_ms;
  return { active, reason, staleness_ms: staleness, stale, receipt };
}

// A client of Redis and Valkey, as small as can be (RESP 2) --------------------------

class Server {
  #socket;
  #received = Buffer.alloc(0);
  #waiting = [];

  static async connect(url) {
    const { hostname, port } = new URL(url);
    const server = new Server();
    server.#socket = createConnection(Number(port || 6379), hostname);
    server.#socket.on("data", (data) => server.#take(data));
    const fail = (error) => server.#waiting.splice(0).forEach(({ reject }) => reject(error));
    server.#socket.on("close", () => fail(new Error("the connection was closed")));
    await new Promise((resolve, reject) => {
      server.#socket.once("connect", resolve).once("error", reject);
    });
    server.#socket.on("error", fail);
    return server;
  }

  call(...words) {
    const parts = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(`${word}`)));
    this.#socket.write(`*${parts.length}\r\n`);
    for (const part of parts) {
      this.#socket.write(`$${part.length}\r\n`);
      this.#socket.write(part);
      this.#socket.write("\r\n");
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close() {
    this.#socket.end();
  }

  #take(data) {
    this.#received = Buffer.concat([this.#received, data]);
    for (let reply; (reply = parse(this.#received, 0)); ) {
      this.#received = this.#received.subarray(reply.end);
      const { resolve, reject } = this.#waiting.shift();
      if (reply.value instanceof Error) reject(reply.value);
      else resolve(reply.value);
    }
  }
}

/** The reply that begins there, as `{ value, end }`, or null while it is not whole. */
function parse(buffer, start) {
  const newline = buffer.indexOf("\r\n", start);
  if (newline < 0) return null;
  const line = buffer.toString("utf8", start + 1, newline);
  let end = newline + 2;
  switch (String.fromCharCode(buffer[start])) {
    case "+":
      return { value: line, end };
    case "-":
      return { value: new Error(line), end };
    case ":":
      return { value: Number(line), end };
    case "$": {
      const length = Number(line);
      if (length < 0) return { value: null, end };
      if (buffer.length < end + length + 2) return null;
      return { value: buffer.subarray(end, end + length), end: end + length + 2 };
    }
    case "*": {
      if (Number(line) < 0) return { value: null, end };
      const value = [];
      while (value.length < Number(line)) {
        const each = parse(buffer, end);
        if (each === null) return null;
        value.push(each.value);
        end = each.end;
      }
      return { value, end };
    }
    default:
      throw new Error("the server does not speak RESP 2");
  }
}

// The vectors ------------------------------------------------------------------------

async function answer(server, vector) {
  const { claims, rules, kid, resources, policy, now, skew_ms: skew } = vector;
  const token = readToken(claims, rules, kid, resources);
  const found = await lookUp(server, token.targets, vector);
  const verdict = decide(token, found, policy, rules, now, now - 2 * skew);
  return { keys: found.keys, verdict };
}

const [url, path] = process.argv.slice(2);
const vectors = JSON.parse(await readFile(path, "utf8"));
const server = await Server.connect(url);
const differences = [];
for (const vector of vectors) {
  const given = JSON.stringify(await answer(server, vector));
  const expected = JSON.stringify(vector.expected);
  if (given !== expected) {
    differences.push(`${vector.name}\n  expected ${expected}\n  given    ${given}`);
  }
}
server.close();
for (const difference of differences) console.error(difference);
console.log(`${vectors.length} cases, ${differences.length} differences`);
process.exitCode = differences.length ? 1 : 0;
