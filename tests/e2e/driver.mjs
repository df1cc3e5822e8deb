// A session by node-postgres: prints one JSON line a step, for tests/e2e/test_driver_node.py.
import { createRequire } from 'node:module';

const require = createRequire(process.argv[2] + '/package.json');
const { Client, Pool } = require('pg');
const out = (step, value) => console.log(JSON.stringify({ step, value }));
const attempt = async (step, work) => {
  try {
    out(step, await work());
  } catch (error) {
    out(step, { code: error.code, hint: error.hint ?? null, message: error.message, detail: error.detail ?? null });
  }
};

const client = new Client();
await client.connect();
await attempt('select', async () => (await client.query('SELECT name, email FROM customers')).rows);
await attempt('parameters', async () => (await client.query('SELECT subject FROM tickets WHERE ticket_id = $1', [502])).rows);
const named = (id) => ({ name: 'by-id', text: 'SELECT status FROM tickets WHERE ticket_id = $1', values: [id] });
await attempt('prepared', async () => [
  (await client.query(named(501))).rows, (await client.query(named(502))).rows, (await client.query(named(505))).rows,
]);
await attempt('portion', async () => {
  const { rows } = await client.query({ text: 'SELECT order_id FROM orders ORDER BY 1', values: [], rows: 2 });
  return rows;
});
await attempt('binary', async () => (await client.query({ text: 'SELECT ticket_id FROM tickets ORDER BY 1', values: [], binary: true })).rows);
await attempt('rollback', async () => {
  await client.query('BEGIN');
  const { rowCount } = await client.query("UPDATE tickets SET status = 'closed' WHERE ticket_id = $1", [501]);
  await client.query('ROLLBACK');
  return [rowCount, (await client.query('SELECT status FROM tickets WHERE ticket_id = 501')).rows];
});
await attempt('update', async () => (await client.query("UPDATE tickets SET status = 'closed' WHERE ticket_id = 501 RETURNING status")).rows);
await attempt('denied', () => client.query('SELECT ssn FROM customers'));
await attempt('denied prepared', () => client.query('SELECT ssn FROM customers WHERE customer_id = $1', [4521]));
await attempt('after', async () => (await client.query('SELECT 1 AS one')).rows);
await client.end();

const pool = new Pool({ max: 4 });
await attempt('pool', async () => {
  const all = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => pool.query('SELECT $1::int + count(*)::int AS n FROM tickets', [n])));
  return all.map((result) => result.rows[0].n);
});
await pool.end();
