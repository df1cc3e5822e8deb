// The official TypeScript client at a gateway: prints what it got as one JSON object. Arguments: folder, URL, calls.
import { createRequire } from 'node:module';

const [folder, url, calls] = process.argv.slice(2);
const require = createRequire(folder + '/package.json');
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');

const headers = { Authorization: `Bearer ${process.env.BAILIWICK_TOKEN}` };
const client = new Client({ name: 'tests', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const results = [];
for (const call of JSON.parse(calls)) {
  results.push(await client.callTool(call));
}
console.log(JSON.stringify({ server: client.getServerVersion().name, tools, results }));
await client.close();
