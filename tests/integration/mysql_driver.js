// npm's mysql2 on the stand-in, which proves that it is one. mysql_driver.js PORT SOCKET CA
'use strict';
const assert = require('assert');
const fs = require('fs');
const mysql = require('mysql2/promise');

const [port, socketPath, ca] = process.argv.slice(2);
const common = { user: 'ada', password: 'se:cret' };
const byPort = { ...common, host: 'localhost', port: +port };

async function way(options, query = 'SELECT way') {
  const connection = await mysql.createConnection(options);
  await connection.ping();
  const [rows] = await connection.query(query);
  await connection.end();
  return rows.length ? rows[0].way : 'ok';
}

async function main() {
  const ssl = { ca: fs.readFileSync(ca) };
  const ways = [
    ['full over TLS', { ...byPort, ssl }], ['full over the socket', { ...common, socketPath }],
    ['full by the key', byPort],
  ];
  for (const [full, options] of ways) {
    assert.equal(await way(options, 'FLUSH PRIVILEGES').catch((error) => error.message), 'ok');
    assert.equal(await way(options), full);
    assert.equal(await way(options), 'fast');
  }
  assert.equal(await way({ ...byPort, user: 'nobody', password: '' }), 'empty');
  assert.equal(await way({ ...byPort, user: 'old' }), 'native');
  await assert.rejects(way({ ...byPort, password: 'wrong', ssl }), { errno: 1045 });
  await assert.rejects(way({ ...byPort, password: 'wrong' }), { errno: 1045 });
}

main().then(() => console.log('ok'));
