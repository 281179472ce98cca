// A stand-in for a MongoDB server, in memory: the wire protocol, SCRAM, cursors, zlib.
// mongo_server.js PORT [OPTION ...]
// Options: auth (users ada and grace have to prove who they are), secondary, cert=FILE key=FILE (TLS).
'use strict';
const net = require('net');
const tls = require('tls');
const fs = require('fs');
const zlib = require('zlib');
const crypto = require('crypto');
const bson = require('bson');

const OP_REPLY = 1, OP_QUERY = 2004, OP_COMPRESSED = 2012, OP_MSG = 2013;
const flags = process.argv.slice(3);
const option = (name) => (flags.find((f) => f.startsWith(name + '=')) || '').slice(name.length + 1);
const needsAuth = flags.includes('auth'), isSecondary = flags.includes('secondary');
const databases = new Map(); // "database.collection" -> documents
const cursors = new Map();   // id -> { rest, size, ns }
const seen = { compressed: 0, killed: 0, connections: 0, authentications: 0, checksums: 0 };
let nextCursor = 1000n, nextReply = 1;

class MongoError extends Error {
  constructor(code, codeName, message) { super(message); Object.assign(this, { code, codeName }); }
}

// ---- users ----

const hash = (name, ...data) => data.reduce((h, d) => h.update(d), crypto.createHash(name)).digest();
const hmac = (name, key, data) => crypto.createHmac(name, key).update(data).digest();
const xor = (a, b) => Buffer.from(a.map((byte, i) => byte ^ b[i]));
function credentials(user, password, algorithm, iterations) {
  const secret = algorithm === 'sha1' ? hash('md5', `${user}:mongo:${password}`).toString('hex') : password;
  const salt = crypto.randomBytes(algorithm === 'sha1' ? 16 : 28);
  const salted = crypto.pbkdf2Sync(secret, salt, iterations, algorithm === 'sha1' ? 20 : 32, algorithm);
  return { salt, iterations, stored: hash(algorithm, hmac(algorithm, salted, 'Client Key')),
           server: hmac(algorithm, salted, 'Server Key') };
}
const users = {
  // "ab" with a soft hyphen, a no-break space and a Roman numeral: SASLprep makes "ab IX" of it
  ada: { 'SCRAM-SHA-1': credentials('ada', 'se:cret', 'sha1', 10000),
         'SCRAM-SHA-256': credentials('ada', 'se:cret', 'sha256', 15000) },
  'gra,ce=': { 'SCRAM-SHA-256': credentials('gra,ce=', 'ab IX', 'sha256', 15000) },
  old: { 'SCRAM-SHA-1': credentials('old', 'pass', 'sha1', 10000) },
  weak: { 'SCRAM-SHA-256': credentials('weak', 'pass', 'sha256', 100) },
  slow: { 'SCRAM-SHA-256': Object.assign(credentials('slow', 'pass', 'sha256', 5000), { iterations: 2000000000 }) },
  liar: { 'SCRAM-SHA-256': Object.assign(credentials('liar', 'pass', 'sha256', 15000), { server: Buffer.alloc(32) }) },
};

function saslStart(connection, command) {
  const algorithm = { 'SCRAM-SHA-1': 'sha1', 'SCRAM-SHA-256': 'sha256' }[command.mechanism];
  const first = Buffer.from(command.payload.buffer).toString();
  const bare = first.slice(3);
  const attributes = Object.fromEntries(bare.split(',').map((part) => [part[0], part.slice(2)]));
  const user = attributes.n.replace(/=2C/g, ',').replace(/=3D/g, '=');
  const known = users[user] && users[user][command.mechanism];
  if (!algorithm || !known || !first.startsWith('n,,'))
    throw new MongoError(18, 'AuthenticationFailed', 'Authentication failed.');
  const nonce = attributes.r + crypto.randomBytes(18).toString('base64');
  const reply = `r=${nonce},s=${known.salt.toString('base64')},i=${known.iterations}`;
  const skip = (command.options || {}).skipEmptyExchange;
  connection.sasl = { algorithm, known, nonce, messages: `${bare},${reply}`, skip };
  return { conversationId: 1, done: false, payload: new bson.Binary(Buffer.from(reply)) };
}

function saslContinue(connection, command) {
  const sasl = connection.sasl, text = Buffer.from(command.payload.buffer).toString();
  if (!sasl) throw new MongoError(17, 'ProtocolError', 'No SASL session state found');
  if (sasl.proved && text === '') {
    connection.user = true;
    return { conversationId: 1, done: true, payload: new bson.Binary(Buffer.alloc(0)) };
  }
  const [without, proof] = text.split(',p=');
  const messages = `${sasl.messages},${without}`;
  const signature = hmac(sasl.algorithm, sasl.known.stored, messages);
  const client = xor(Buffer.from(proof, 'base64'), signature);
  if (without !== `c=biws,r=${sasl.nonce}` || !hash(sasl.algorithm, client).equals(sasl.known.stored))
    throw new MongoError(18, 'AuthenticationFailed', 'Authentication failed.');
  sasl.proved = true;
  connection.user = Boolean(sasl.skip);
  seen.authentications++;
  const verifier = 'v=' + hmac(sasl.algorithm, sasl.known.server, messages).toString('base64');
  return { conversationId: 1, done: Boolean(sasl.skip), payload: new bson.Binary(Buffer.from(verifier)) };
}

// ---- documents ----

const at = (document, path) =>
  path.split('.').reduce((v, name) => (v === null || v === undefined ? undefined : v[name]), document);
const plain = (v) => (v && v._bsontype === 'Int32' ? v.value : v && v._bsontype === 'Double' ? v.value
  : v && v._bsontype === 'Long' ? Number(v.toString()) : v);
const bytes = (v) => bson.serialize({ v: plain(v) === undefined ? null : plain(v) }).toString('hex');
const equal = (a, b) => bytes(a) === bytes(b);
const operators = {
  $gt: (a, b) => a !== undefined && plain(a) > plain(b), $gte: (a, b) => a !== undefined && plain(a) >= plain(b),
  $lt: (a, b) => a !== undefined && plain(a) < plain(b), $lte: (a, b) => a !== undefined && plain(a) <= plain(b),
  $ne: (a, b) => !equal(a, b), $eq: equal, $in: (a, list) => list.some((b) => equal(a, b)),
  $exists: (a, b) => (a !== undefined) === Boolean(plain(b)),
};
function matches(document, filter) {
  return Object.entries(filter).every(([name, wanted]) => {
    if (name === '$and') return wanted.every((one) => matches(document, one));
    const value = at(document, name);
    const tests = wanted && typeof wanted === 'object' && !wanted._bsontype && Object.keys(wanted)[0];
    if (!tests || tests[0] !== '$') return equal(value, wanted);
    return Object.entries(wanted).every(([operator, operand]) => {
      if (!operators[operator]) throw new MongoError(2, 'BadValue', `unknown operator: ${operator}`);
      return operators[operator](value, operand);
    });
  });
}
function change(document, update) {
  if (!Object.keys(update).some((name) => name[0] === '$')) {
    for (const name of Object.keys(document)) if (name !== '_id') delete document[name];
    return Object.assign(document, update);
  }
  for (const [name, value] of Object.entries(update.$set || {})) document[name] = value;
  for (const [name, value] of Object.entries(update.$inc || {}))
    document[name] = new bson.Int32((plain(document[name]) || 0) + plain(value));
  for (const name of Object.keys(update.$unset || {})) delete document[name];
  return document;
}
function sorted(documents, sort) {
  const keys = Object.entries(sort || {});
  return !keys.length ? documents : [...documents].sort((a, b) => {
    for (const [name, way] of keys) {
      const [x, y] = [plain(at(a, name)), plain(at(b, name))];
      if (x < y) return -plain(way);
      if (x > y) return plain(way);
    }
    return 0;
  });
}
function projected(document, projection) {
  const names = Object.entries(projection || {});
  if (!names.length) return document;
  const includes = names.some(([name, on]) => plain(on) && name !== '_id');
  const on = Object.fromEntries(names.map(([name, value]) => [name, Boolean(plain(value))]));
  const stays = ([name]) => (on[name] !== undefined ? on[name] : !includes || name === '_id');
  return Object.fromEntries(Object.entries(document).filter(stays));
}
function aggregated(documents, pipeline) {
  for (const stage of pipeline) {
    const [name, value] = Object.entries(stage)[0];
    if (name === '$match') documents = documents.filter((d) => matches(d, value));
    else if (name === '$sort') documents = sorted(documents, value);
    else if (name === '$skip') documents = documents.slice(plain(value));
    else if (name === '$limit') documents = documents.slice(0, plain(value));
    else if (name === '$project') documents = documents.map((d) => projected(d, value));
    else if (name === '$group') {
      const groups = new Map();
      for (const d of documents) {
        const id = typeof value._id === 'string' && value._id[0] === '$' ? at(d, value._id.slice(1)) : value._id;
        const group = groups.get(bytes(id)) || { _id: id };
        groups.set(bytes(id), group);
        for (const [field, rule] of Object.entries(value)) {
          if (field === '_id') continue;
          const operand = typeof rule.$sum === 'string' ? plain(at(d, rule.$sum.slice(1))) : plain(rule.$sum);
          group[field] = (group[field] || 0) + operand;
        }
      }
      documents = [...groups.values()];
    } else throw new MongoError(40324, 'Location40324', `Unrecognized pipeline stage name: '${name}'`);
  }
  return documents;
}

// ---- commands ----

const collection = (command, name) => {
  const ns = `${command.$db}.${name}`;
  if (!databases.has(ns)) databases.set(ns, []);
  return databases.get(ns);
};
function batch(command, name, documents, size, single) {
  const ns = `${command.$db}.${name}`, first = documents.slice(0, size), rest = documents.slice(size);
  let id = 0n;
  if (rest.length && !single) cursors.set(id = nextCursor++, { rest, ns });
  return { cursor: { firstBatch: first, id: bson.Long.fromBigInt(id), ns } };
}
function hello(connection, command, legacy) {
  const reply = { helloOk: true, [legacy ? 'ismaster' : 'isWritablePrimary']: !isSecondary, maxBsonObjectSize: 16777216,
    maxMessageSizeBytes: 48000000, maxWriteBatchSize: 1000, localTime: new Date(), logicalSessionTimeoutMinutes: 30,
    connectionId: 1, minWireVersion: 0, maxWireVersion: 17, readOnly: false, ok: 1 };
  if (isSecondary)
    Object.assign(reply, { secondary: true, setName: 'rs', hosts: ['127.0.0.1:1'], primary: '127.0.0.1:1' });
  if ((command.compression || []).includes('zlib')) reply.compression = ['zlib'];
  if (command.saslSupportedMechs) {
    const name = command.saslSupportedMechs.slice(command.saslSupportedMechs.indexOf('.') + 1);
    if (users[name]) reply.saslSupportedMechs = Object.keys(users[name]);
  }
  if (command.speculativeAuthenticate) {
    try {
      reply.speculativeAuthenticate = saslStart(connection, command.speculativeAuthenticate);
    } catch { /* the client will ask again */ }
  }
  return reply;
}
const commands = {
  hello: (c, command) => hello(c, command, false),
  isMaster: (c, command) => hello(c, command, true),
  ismaster: (c, command) => hello(c, command, true),
  saslStart, saslContinue,
  ping: () => ({}),
  buildInfo: () => ({ version: '5.0.0', versionArray: [5, 0, 0, 0] }),
  endSessions: () => ({}),
  seen: () => ({ ...seen, cursors: cursors.size }),
  async sleep(c, command) {
    await new Promise((resolve) => setTimeout(resolve, plain(command.sleep)));
    return { tag: command.tag };
  },
  echo: (c, command) => ({ echo: command.echo }),
  drop(c, command) {
    databases.delete(`${command.$db}.${command.drop}`);
    return {};
  },
  insert(c, command) {
    const to = collection(command, command.insert), writeErrors = [];
    let n = 0;
    const ids = new Set(to.map((d) => bytes(d._id)));
    for (const [index, document] of command.documents.entries()) {
      if (ids.has(bytes(document._id))) {
        const errmsg = `E11000 duplicate key error collection: ${command.$db}.${command.insert}`;
        writeErrors.push({ index, code: 11000, errmsg });
        if (command.ordered !== false) break;
        continue;
      }
      ids.add(bytes(document._id));
      to.push(document);
      n++;
    }
    const reply = { n };
    if (writeErrors.length) reply.writeErrors = writeErrors;
    if (command.writeConcern && plain(command.writeConcern.w) > 1)
      reply.writeConcernError = { code: 100, codeName: 'UnsatisfiableWriteConcern', errmsg: 'Not enough nodes' };
    return reply;
  },
  find(c, command) {
    let found = sorted(collection(command, command.find).filter((d) => matches(d, command.filter || {})), command.sort);
    found = found.slice(plain(command.skip) || 0);
    const limit = Math.abs(plain(command.limit) || 0);
    if (limit) found = found.slice(0, limit);
    found = found.map((d) => projected(d, command.projection));
    const size = command.batchSize === undefined ? 101 : plain(command.batchSize);
    return batch(command, command.find, found, size, command.singleBatch);
  },
  aggregate(c, command) {
    const size = command.cursor.batchSize === undefined ? 101 : plain(command.cursor.batchSize);
    const made = aggregated(collection(command, command.aggregate), command.pipeline);
    return batch(command, command.aggregate, made, size);
  },
  async getMore(c, command) {
    const id = BigInt(command.getMore.toString()), cursor = cursors.get(id);
    if (!cursor) throw new MongoError(43, 'CursorNotFound', `cursor id ${id} not found`);
    if (cursor.rest.some((d) => d.slow)) await new Promise((resolve) => setTimeout(resolve, 30000).unref());
    const nextBatch = cursor.rest.splice(0, plain(command.batchSize) || 101);
    if (!cursor.rest.length) cursors.delete(id);
    return { cursor: { nextBatch, id: bson.Long.fromBigInt(cursor.rest.length ? id : 0n), ns: cursor.ns } };
  },
  killCursors(c, command) {
    const cursorsKilled = command.cursors.filter((id) => cursors.delete(BigInt(id.toString())));
    seen.killed += cursorsKilled.length;
    return { cursorsKilled, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [] };
  },
  update(c, command) {
    const to = collection(command, command.update), upserted = [];
    let n = 0, nModified = 0;
    for (const [index, { q, u, multi, upsert }] of command.updates.entries()) {
      const found = to.filter((d) => matches(d, q)).slice(0, multi ? undefined : 1);
      for (const document of found) {
        const before = bytes(document);
        change(document, u);
        if (bytes(document) !== before) nModified++;
      }
      n += found.length;
      if (found.length || !upsert) continue;
      const asked = Object.fromEntries(Object.entries(q).filter(([name]) => name[0] !== '$'));
      const document = change({ _id: new bson.ObjectId(), ...asked }, u);
      to.push(document);
      upserted.push({ index, _id: document._id });
      n++;
    }
    return upserted.length ? { n, nModified, upserted } : { n, nModified };
  },
  delete(c, command) {
    const from = collection(command, command.delete);
    let n = 0;
    for (const { q, limit } of command.deletes)
      for (let i = 0, left = plain(limit) || Infinity; i < from.length && left; ) {
        if (matches(from[i], q)) {
          from.splice(i, 1);
          n++;
          left--;
        } else i++;
      }
    return { n };
  },
};

// ---- messages ----

const keep = { promoteValues: false, promoteBuffers: false, bsonRegExp: true };
// What the stand-in acts on is taken as JavaScript has it; documents stay as they came.
function commandOf(body, sections) {
  const raw = bson.deserialize(body, keep), command = bson.deserialize(body);
  for (const name of ['documents', 'updates', 'deletes', 'echo', 'filter', 'pipeline'])
    if (raw[name] !== undefined) command[name] = raw[name];
  for (const [name, documents] of Object.entries(sections))
    command[name] = documents.map((d) => bson.deserialize(d, keep));
  if (raw.getMore) command.getMore = raw.getMore;
  if (raw.cursors) command.cursors = raw.cursors;
  return command;
}
function crc32c(data) {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
const free = ['hello', 'isMaster', 'ismaster', 'saslStart', 'saslContinue', 'seen', 'endSessions', 'ping', 'buildInfo'];
async function answer(connection, command) {
  const name = Object.keys(command)[0];
  try {
    if (!commands[name]) throw new MongoError(59, 'CommandNotFound', `no such command: '${name}'`);
    if (needsAuth && !connection.user && !free.includes(name))
      throw new MongoError(13, 'Unauthorized', `command ${name} requires authentication`);
    if (isSecondary && ['insert', 'update', 'delete'].includes(name))
      throw new MongoError(10107, 'NotWritablePrimary', 'not primary');
    return { ...(await commands[name](connection, command)), ok: 1 };
  } catch (error) {
    if (!(error instanceof MongoError)) console.error(error);
    return { ok: 0, errmsg: error.message, code: error.code || 8, codeName: error.codeName || 'UnknownError' };
  }
}
function framed(request, opcode, body) {
  const head = Buffer.alloc(16);
  [16 + body.length, nextReply++, request, opcode].forEach((n, i) => head.writeInt32LE(n, 4 * i));
  return Buffer.concat([head, body]);
}
async function onMessage(connection, message) {
  const request = message.readInt32LE(4);
  let opcode = message.readInt32LE(12), body = message.subarray(16), compressed = false;
  if (opcode === OP_COMPRESSED) {
    seen.compressed++;
    compressed = true;
    opcode = body.readInt32LE(0);
    const size = body.readInt32LE(4), way = body[8];
    body = way === 2 ? zlib.inflateSync(body.subarray(9)) : body.subarray(9);
    if (body.length !== size) throw new Error('another size than was said');
  }
  if (opcode === OP_QUERY) {
    const name = body.indexOf(0, 4), document = body.subarray(name + 9);
    const command = commandOf(document, {});
    command.$db = body.toString('utf8', 4, name).split('.')[0];
    const reply = bson.serialize(await answer(connection, command)), head = Buffer.alloc(20);
    head.writeInt32LE(8, 0);
    head.writeInt32LE(1, 16);
    connection.write(framed(request, OP_REPLY, Buffer.concat([head, reply])));
    return;
  }
  if (opcode !== OP_MSG) throw new Error(`opcode ${opcode}`);
  const bits = body.readUInt32LE(0), sections = {};
  let end = body.length, main = null;
  if (bits & 1) {
    seen.checksums++;
    end -= 4;
    const last = message.length - 4;
    if (crc32c(message.subarray(0, last)) !== message.readUInt32LE(last)) throw new Error('checksum');
  }
  for (let position = 4; position < end; ) {
    const kind = body[position++], size = body.readInt32LE(position);
    if (kind === 0) main = body.subarray(position, position + size);
    else {
      const name = body.indexOf(0, position + 4), documents = sections[body.toString('utf8', position + 4, name)] = [];
      for (let i = name + 1; i < position + size; i += body.readInt32LE(i))
        documents.push(body.subarray(i, i + body.readInt32LE(i)));
    }
    position += size;
  }
  const reply = bson.serialize(await answer(connection, commandOf(main, sections)), { ignoreUndefined: false });
  const out = Buffer.concat([Buffer.from([bits & 1, 0, 0, 0, 0]), reply]);
  if (bits & 2) return; // nobody wants the reply
  if (compressed) {
    const head = Buffer.alloc(9);
    head.writeInt32LE(OP_MSG, 0);
    head.writeInt32LE(out.length, 4);
    head[8] = 2;
    connection.write(framed(request, OP_COMPRESSED, Buffer.concat([head, zlib.deflateSync(out)])));
    return;
  }
  if (!(bits & 1)) return connection.write(framed(request, OP_MSG, out));
  const summed = framed(request, OP_MSG, Buffer.concat([out, Buffer.alloc(4)]));
  summed.writeUInt32LE(crc32c(summed.subarray(0, summed.length - 4)), summed.length - 4);
  connection.write(summed);
}
function onConnection(connection) {
  let data = Buffer.alloc(0), chain = Promise.resolve();
  seen.connections++;
  connection.on('data', (more) => {
    data = Buffer.concat([data, more]);
    while (data.length >= 16 && data.length >= data.readInt32LE(0)) {
      const message = data.subarray(0, data.readInt32LE(0));
      data = data.subarray(message.length);
      chain = chain.then(() => onMessage(connection, message)).catch((error) => {
        console.error(error);
        connection.destroy();
      });
    }
  });
  connection.on('error', () => {});
}

const port = process.argv[2];
const server = !option('cert') ? net.createServer(onConnection)
  : tls.createServer({ cert: fs.readFileSync(option('cert')), key: fs.readFileSync(option('key')) }, onConnection);
if (/^\d+$/.test(port)) server.listen(Number(port), '127.0.0.1');
else server.listen(port);
