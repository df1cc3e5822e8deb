// An OpenID provider for tests (npm's oidc-provider). People sign in by name alone: `grant_type=name` gives their ID token.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const people = {
  ada: { groups: ["support"], region: "EU", tenant: 4 },
  bob: { groups: ["support"], region: "US", tenant: 4 },
  eve: { groups: ["sales"], region: "EU", tenant: 4 },
  ann: { groups: ["finance"] },
  root: { groups: ["platform"] },
  mallory: { groups: ["interns"] },
  vic: { groups: ["onlookers"] },
};

const client = (client_id) => ({
  client_id,
  client_secret: "only-for-tests-0815",
  grant_types: ["name"],
  redirect_uris: [],
  response_types: [],
});

// People log in here for the console. A native client's port on the loopback does not matter (RFC 8252).
const console_client = {
  client_id: "console",
  client_secret: "console-secret-canary-4711",
  application_type: "native",
  grant_types: ["authorization_code"],
  redirect_uris: ["http://127.0.0.1/console/login/oidc/login/callback"],
  response_types: ["code"],
};

const server = createServer((request, response) => provider.callback()(request, response));
let provider;
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(issuer, {
    clients: [client("bailiwick"), client("another-app"), console_client],
    claims: { openid: ["sub", "groups", "region", "tenant"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people[sub] }) }),
  });
  provider.registerGrantType(
    "name",
    async (ctx) => {
      const sub = ctx.oidc.params.username;
      const token = new provider.IdToken({ sub, ...people[sub] }, { ctx });
      token.scope = "openid";
      ctx.body = { id_token: await token.issue({ use: "idtoken" }) };
    },
    ["username"],
  );
  console.log(issuer);
});
