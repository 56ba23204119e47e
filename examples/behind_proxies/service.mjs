// A service in Node.js behind a proxy of deploy/. It knows nothing of tokens, keys or
// revocation: who calls stands in a header, which only the proxy can have set.
//
//     PORT=8080 node service.mjs

import { createServer } from "node:http";

const server = createServer((request, response) => {
  // Percent-encoded where a name is more than plain ASCII; absent on public paths.
  const subject = request.headers["x-auth-subject"];
  const caller = subject ? decodeURIComponent(subject) : "nobody";

  console.log(`${request.method} ${request.url} ${caller}`);
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ caller }));
});

// Longer than proxies keep their connections, or one would close just as it is used.
server.keepAliveTimeout = 300_000;

// Where only the proxy reaches it: whoever gets here directly could claim any name.
server.listen(Number(process.env.PORT), "127.0.0.1");
