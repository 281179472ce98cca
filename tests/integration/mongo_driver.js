// The official driver on the stand-in, which proves that it is one; and random documents for ours.
// mongo_driver.js driver URI | documents SEED COUNT
'use strict';
const bson = require('bson');

async function driver(uri) {
  const { MongoClient } = require('mongodb');
  const assert = require('assert');
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5000 });
  const rows = client.db('test').collection('driver');
  await rows.drop();
  await rows.insertMany(Array.from({ length: 250 }, (_, n) => ({ n, text: 'x'.repeat(n) })));
  assert.deepEqual(await rows.find({ n: { $gte: 100 } }).batchSize(20).map((d) => d.n).toArray(),
    Array.from({ length: 150 }, (_, n) => n + 100));
  assert.equal(await rows.countDocuments({ n: { $lt: 10 } }), 10);
  assert.equal((await rows.updateMany({ n: { $lt: 5 } }, { $set: { small: true } })).modifiedCount, 5);
  assert.ok((await rows.updateOne({ n: 1000 }, { $set: { small: true } }, { upsert: true })).upsertedId);
  assert.equal((await rows.deleteMany({ small: true })).deletedCount, 6);
  assert.equal((await rows.aggregate([{ $match: { n: { $lt: 10 } } }, { $group: { _id: null, n: { $sum: '$n' } } }])
    .toArray())[0].n, 35);
  const cursor = rows.find().batchSize(2);
  await cursor.next();
  await cursor.close();
  const { _id } = await rows.findOne({ n: 7 });
  await assert.rejects(rows.insertOne({ _id }), { code: 11000 });
  await assert.rejects(client.db('test').command({ nothing: 1 }), { code: 59 });
  console.log(JSON.stringify(await client.db('admin').command({ seen: 1 })));
  await client.close();
}

// ---- random documents ----

let state;
const random = (n) => { // xorshift
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
};
const bytes = (n) => Buffer.from(Array.from({ length: n }, () => random(256)));
const letters = ['a', 'Z', '0', ' ', '"', '\\', '/', '\b', '\n', '\u0001', '\u007f', 'é', '€', '\u2028', '😺', '\ufeff'];
const text = () => Array.from({ length: random(8) }, () => letters[random(letters.length)]).join('');
const double = () => {
  const special = [0, -0, NaN, Infinity, -Infinity, 1, -1.5, 1e21, 123456789012345680000, 1e-7, 5e-324, 0.1, 2 ** 53,
    1e100];
  if (random(3)) return special[random(special.length)];
  return random(2) ? bytes(8).readDoubleLE() : (random(2000000) - 1000000) / 10 ** random(9);
};
const decimal = () => {
  const words = ['NaN', 'Infinity', '-Infinity', '0', '-0', '0E+6111', '1E-6176',
    '9.999999999999999999999999999999999E+6144'];
  if (!random(3)) return bson.Decimal128.fromString(words[random(words.length)]);
  if (!random(3)) { // canonical: a coefficient over 34 digits is zero by IEEE 754, but npm's bson prints its digits
    const raw = bytes(16);
    raw[14] &= 0xfe;
    raw[15] &= 0x9f;
    return new bson.Decimal128(raw);
  }
  const digits = Array.from({ length: 1 + random(34) }, () => random(10)).join('');
  const exponent = random(2) ? random(80) - 60 : random(6000) - 3000;
  return bson.Decimal128.fromString(`${random(2) ? '-' : ''}${digits}E${exponent}`);
};
const makers = [
  () => new bson.Double(double()), text, () => bytes(random(20)), () => new bson.ObjectId(bytes(12)),
  () => random(2) === 1,
  () => new Date(random(2) ? bytes(6).readIntLE(0, 6) : random(1 << 30) * 1000), () => null,
  () => new bson.BSONRegExp(text().replace(/\0/g, ''), ['', 'i', 'imsx'][random(3)]), () => new bson.Code(text()),
  () => new bson.Code(text(), document(3)), () => new bson.BSONSymbol(text()),
  () => new bson.Int32(bytes(4).readInt32LE()),
  () => new bson.Timestamp({ t: bytes(4).readUInt32LE(), i: bytes(4).readUInt32LE() }),
  () => new bson.Long(bytes(4).readInt32LE(), bytes(4).readInt32LE()), decimal, () => new bson.MinKey(),
  () => new bson.MaxKey(),
  () => new bson.Binary(bytes(random(9)), [0, 1, 2, 3, 5, 6, 128, 255][random(8)]), () => new bson.Binary(bytes(16), 4),
];
function value(depth) {
  if (depth < 5 && !random(4))
    return random(2) ? document(depth + 1) : Array.from({ length: random(4) }, () => value(depth + 1));
  return makers[random(makers.length)]();
}
function document(depth) {
  const member = () => [text().replace(/^\d+$/, 'n') || 'n', value(depth)];
  return Object.fromEntries(Array.from({ length: random(6) }, member));
}
const keep = { promoteValues: false, promoteBuffers: false, bsonRegExp: true };
function documents(seed, count) {
  state = seed | 1;
  for (let i = 0; i < count; i++) {
    const data = bson.serialize(document(0));
    console.log(data.toString('hex'));
    console.log(bson.EJSON.stringify(bson.deserialize(data, keep), { relaxed: false }));
  }
}

if (process.argv[2] === 'driver') {
  driver(process.argv[3]).catch((error) => {
    console.error(error);
    process.exit(1);
  });
} else documents(Number(process.argv[3]), Number(process.argv[4]));
