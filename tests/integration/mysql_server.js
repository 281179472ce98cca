// A stand-in for a MySQL 8 server: it lets users in by caching_sha2_password, and says how they came in.
// mysql_server.js PORT SOCKET CERTIFICATE KEY
// Its users: ada, and others who do what a server should not. It prints what is wrong: a password that came in clear.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const [port, path, certificate, key] = process.argv.slice(2);
const secureContext = tls.createSecureContext({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) });
const rsa = (bits) => crypto.generateKeyPairSync('rsa', { modulusLength: bits });
const pem = (pair) => pair.publicKey.export({ type: 'spki', format: 'pem' });
const keys = rsa(2048);
const users = {
  ada: { password: 'se:cret' },
  nobody: { password: '' },
  old: { password: 'se:cret', native: true },
  clear: { password: 'se:cret', clear: true }, // it is asked for the password by mysql_clear_password
  eager: { password: 'se:cret', eager: true }, // the key comes unasked
  ec: { password: 'se:cret', pem: pem(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })) },
  small: { password: 'se:cret', pem: pem(rsa(512)) }, // a password and OAEP do not fit
  garbage: { password: 'se:cret', pem: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' },
  mute: { password: 'se:cret', pem: '' },
  ring: { password: 'se:cret', ring: true }, // it is asked for another way again and again
  strange: { password: 'se:cret', plugin: 'dialog' },
};
const known = new Set(); // who has shown the password: a proof is enough from then on

const digest = (name, ...parts) => parts.reduce((h, part) => h.update(part), crypto.createHash(name)).digest();
const xor = (a, b) => Buffer.from(a.map((byte, i) => byte ^ b[i % b.length]));
const CAPS = { LONG_PASSWORD: 1, WITH_DB: 8, P41: 512, SSL: 2048, TRANSACTIONS: 8192, SECURE: 32768, MULTI: 1 << 17,
  PLUGIN: 1 << 19, LENENC_AUTH: 1 << 21 };
const MORE = Buffer.from([1]);

class Connection {
  constructor(socket, isLocal) {
    this.isSecret = this.isLocal = isLocal;
    this.nonce = Buffer.from(Array.from({ length: 20 }, () => 1 + crypto.randomInt(127)));
    this.step = this.hello;
    this.sequence = 0;
    this.adopt(socket);
    const caps = Object.values(CAPS).reduce((a, b) => a | b);
    const head = Buffer.alloc(31);
    head.writeUInt32LE(process.pid & 0xffff, 0);
    this.nonce.copy(head, 4, 0, 8);
    head.writeUInt16LE(caps & 0xffff, 13);
    head[15] = 45;
    head.writeUInt16LE(2, 16);
    head.writeUInt16LE(caps >>> 16, 18);
    head[20] = 21;
    this.send(Buffer.concat([Buffer.from('\x0a8.0.36-stand-in\0'), head, this.nonce.subarray(8),
      Buffer.from('\0caching_sha2_password\0')]));
  }

  adopt(socket) {
    this.socket = socket;
    this.data = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => this.receive(data));
  }

  receive(data) {
    if (!this.isSecret && data.includes('se:cret')) console.log('the password came in clear');
    this.data = Buffer.concat([this.data, data]);
    while (this.data.length >= 4) {
      const length = this.data.readUIntLE(0, 3);
      if (this.data.length < 4 + length) return;
      this.sequence = this.data[3] + 1;
      const packet = this.data.subarray(4, 4 + length);
      this.data = this.data.subarray(4 + length);
      this.step(packet);
    }
  }

  send(packet) {
    const head = Buffer.alloc(4);
    head.writeUIntLE(packet.length, 0, 3);
    head[3] = this.sequence++ & 255;
    this.socket.write(Buffer.concat([head, packet]));
  }

  error(number, state, text) {
    const head = Buffer.from([255, number & 255, number >> 8]);
    this.send(Buffer.concat([head, Buffer.from(`#${state}${text}`)]));
    this.socket.end();
  }

  hello(packet) {
    const caps = packet.readUInt32LE(0);
    if (caps & CAPS.SSL && !this.isSecret && packet.length === 32) {
      const plain = this.socket;
      plain.removeAllListeners('data').pause();
      if (this.data.length) plain.unshift(this.data);
      this.isSecret = true;
      setImmediate(() => this.adopt(new tls.TLSSocket(plain, { isServer: true, secureContext })));
      return;
    }
    let at = packet.indexOf(0, 32);
    this.name = packet.toString('utf8', 32, at);
    const proof = packet.subarray(at + 2, at + 2 + packet[at + 1]);
    at += 2 + proof.length;
    if (caps & CAPS.WITH_DB) at = packet.indexOf(0, at) + 1;
    const plugin = packet.toString('utf8', at, packet.indexOf(0, at));
    this.user = users[this.name];
    if (!this.user) return this.denied();
    const other = this.user.native ? 'mysql_native_password' : this.user.clear ? 'mysql_clear_password'
      : this.user.plugin || (plugin !== 'caching_sha2_password' && 'caching_sha2_password');
    if (!other && !this.user.ring) return this.prove(proof);
    this.switchTo(other || 'caching_sha2_password');
  }

  switchTo(plugin) {
    this.step = this.user.ring ? () => this.switchTo(plugin) : this.user.native ? this.native
      : this.user.clear ? this.full : this.prove;
    this.send(Buffer.concat([Buffer.from(`\xfe${plugin}\0`, 'latin1'), this.nonce, Buffer.alloc(1)]));
  }

  native(proof) {
    const one = digest('sha1', this.user.password);
    const two = xor(one, digest('sha1', this.nonce, digest('sha1', one)));
    return proof.equals(two) ? this.welcome('native') : this.denied();
  }

  prove(proof) {
    if (!this.user.password) return proof.length ? this.denied() : this.welcome('empty');
    const two = digest('sha256', digest('sha256', this.user.password));
    const one = xor(proof, digest('sha256', two, this.nonce));
    const fits = proof.length === 32 && digest('sha256', one).equals(two);
    if (fits && known.has(this.name)) {
      this.send(Buffer.from([1, 3]));
      return this.welcome('fast');
    }
    this.step = this.full;
    this.byKey = this.user.eager;
    if (this.byKey) return this.send(Buffer.concat([MORE, Buffer.from(pem(keys))]));
    this.send(Buffer.from([1, 4]));
  }

  full(packet) {
    if (packet.length === 1 && packet[0] === 2) {
      this.byKey = true;
      return this.send(Buffer.concat([MORE, Buffer.from(this.user.pem ?? pem(keys))]));
    }
    let text = packet;
    if (this.byKey) {
      try {
        text = xor(crypto.privateDecrypt({ key: keys.privateKey, oaepHash: 'sha1' }, packet), this.nonce);
      } catch {
        return this.denied();
      }
    } else if (!this.isSecret) return this.denied();
    if (text.toString() !== `${this.user.password}\0`) return this.denied();
    known.add(this.name);
    this.welcome(this.byKey ? 'full by the key' : this.isLocal ? 'full over the socket' : 'full over TLS');
  }

  denied() { this.error(1045, '28000', `Access denied for user '${this.name}'`); }

  welcome(way) {
    this.way = way;
    this.step = this.command;
    this.ok();
  }

  ok() { this.send(Buffer.from([0, 0, 0, 2, 0, 0, 0])); }

  command(packet) {
    const sql = packet.toString('utf8', 1);
    if (packet[0] === 1) this.socket.end();
    else if (packet[0] === 14) this.ok();
    else if (packet[0] === 3 && sql === 'FLUSH PRIVILEGES') {
      known.clear();
      this.ok();
    } else if (packet[0] === 3 && sql === 'SELECT way') this.row('way', this.way);
    else this.error(1064, '42000', 'this is a stand-in');
  }

  row(column, value) {
    const text = (s) => Buffer.concat([Buffer.from([Buffer.byteLength(s)]), Buffer.from(s)]);
    const end = Buffer.from([254, 0, 0, 2, 0]);
    this.send(MORE);
    this.send(Buffer.concat([...['def', '', '', '', column, ''].map(text),
      Buffer.from([12, 45, 0, 255, 0, 0, 0, 253, 0, 0, 0, 0, 0])]));
    this.send(end);
    this.send(text(value));
    this.send(end);
  }
}

for (const at of [+port, path]) {
  net.createServer((socket) => new Connection(socket, at === path)).listen(at, at === path ? undefined : '127.0.0.1');
}
