// Before the simulated Afilnet: passes everything on, but answers some calls itself.

import { createServer, request } from 'node:http';

// `answer(body)` returns what a call is answered with, or nothing where it is passed on. Returns the URL in place of `far`.
export async function startProxy(answer) {
  let target;
  const server = createServer(async (asked, answered) => {
    const chunks = [];
    for await (const chunk of asked) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const own = answer(body.toString('utf8'));
    if (own) {
      answered.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(own));
      return;
    }
    const { hostname, port } = new URL(target);
    const options = { hostname, port, path: asked.url, method: asked.method, headers: asked.headers };
    const passed = request(options, (response) => {
      answered.writeHead(response.statusCode, response.headers);
      response.pipe(answered);
    });
    passed.on('error', () => answered.destroy());
    passed.end(body);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  server.unref();
  return {
    before(far) {
      target = far;
      const url = new URL(far);
      url.port = server.address().port;
      return url.href;
    },
    stop: () => { server.closeAllConnections(); server.close(); },
  };
}
