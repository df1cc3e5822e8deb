// A session by node-postgres with cursors and streams: prints one JSON line a step, for test_client_node.py.
import { createRequire } from 'node:module';

const require = createRequire(process.argv[2] + '/package.json');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const step = async (step, work) => {
  let value;
  try {
    value = await work();
  } catch (error) {
    value = { refused: error.code, message: error.message };
  }
  console.log(JSON.stringify({ step, value }));
};

const client = new Client();
await client.connect();
await step('cursor', async () => {
  const cursor = client.query(new Cursor('SELECT review_id, stars FROM reviews WHERE stars > $1 ORDER BY 1', [1]));
  const sizes = [];
  for (let rows = await cursor.read(10); rows.length; rows = await cursor.read(10)) sizes.push(rows.map((r) => r.review_id));
  await cursor.close();
  return sizes;
});
await step('cursor closed early', async () => {
  const cursor = client.query(new Cursor('SELECT title FROM books ORDER BY book_id'));
  const rows = await cursor.read(3);
  await cursor.close();
  return [rows, (await client.query('SELECT 1 AS one')).rows];
});
await step('stream', async () => {
  const ids = [];
  for await (const row of client.query(new QueryStream('SELECT review_id FROM reviews ORDER BY 1', [], { batchSize: 9 }))) ids.push(row.review_id);
  return ids;
});
await step('stream left early', async () => {
  const names = [];
  for await (const row of client.query(new QueryStream('SELECT name, email FROM authors ORDER BY author_id'))) {
    names.push(row);
    if (names.length === 2) break;
  }
  return names;
});
await step('cursor outside', async () => {
  const cursor = client.query(new Cursor('SELECT margin FROM books'));
  try {
    return await cursor.read(1);
  } finally {
    await cursor.close().catch(() => {});
  }
});
await step('two cursors in a transaction', async () => {
  await client.query('BEGIN');
  const first = client.query(new Cursor('SELECT book_id FROM books ORDER BY 1'));
  const a = await first.read(2);
  await first.close();
  const second = client.query(new Cursor('UPDATE reviews SET stars = 1 WHERE review_id < $1 RETURNING review_id', [5]));
  const b = await second.read(10);
  await second.close();
  await client.query('ROLLBACK');
  return [a, b.map((row) => row.review_id).sort(), (await client.query('SELECT count(*) FROM reviews')).rows];
});
await step('array mode', async () => (await client.query({ text: 'SELECT * FROM tags ORDER BY 1', rowMode: 'array' })).rows);
await step('types', async () => (await client.query('SELECT price, published::text, details, ARRAY[1, 2] AS a FROM books ORDER BY book_id LIMIT 2')).rows);
await step('insert', async () => {
  await client.query('BEGIN');
  const { rowCount, rows } = await client.query('INSERT INTO reviews (book_id, stars, body) VALUES ($1, $2, $3) RETURNING stars', [1, 2, 'by node']);
  await client.query('ROLLBACK');
  return [rowCount, rows];
});
await client.end();
const pool = new Pool({ max: 3 });
await step('pool', async () => (await Promise.all([1, 2, 3, 4, 5].map((n) => pool.query('SELECT title FROM books WHERE book_id = $1', [n])))).map((r) => r.rows[0].title));
await pool.end();
