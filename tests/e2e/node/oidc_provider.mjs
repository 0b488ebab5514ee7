// node's oidc-provider with one client, ours, whose callback is given; anybody logs in by any name. Prints its issuer.
import http from 'node:http';
import Provider from 'oidc-provider';

const [callback] = process.argv.slice(2);
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'gantry', client_secret: "a-secret-of-the-test's-own", redirect_uris: [callback] }],
    claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,   // what is known of a person stands in the ID token
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.com`, email_verified: true }),
    }),
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
