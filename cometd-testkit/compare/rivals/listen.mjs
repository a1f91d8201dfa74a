// The command line that all servers here share: `--listen ADDRESS:PORT`.

/** Has an HTTP server listen where the command line says, and says so. */
export function listen(server) {
  const [option, address = ''] = process.argv.slice(2);
  const colon = address.lastIndexOf(':');
  if (option !== '--listen' || colon < 0) throw new Error('it takes --listen ADDRESS:PORT');
  // Node.js closes connections that are idle for 5 s; the other servers let them be.
  server.keepAliveTimeout = 120_000;
  server.listen({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), backlog: 4096 }, () => {
    const { address: host, port } = server.address();
    console.log(`listening on http://${host}:${port}/cometd`);
  });
}
