// CometD's server for Node.js, which speaks long-polling only.

import http from 'node:http';
import cometd from 'cometd-nodejs-server';
import { listen } from './listen.mjs';

// Its defaults are what is compared: it lets everybody do everything, logs only what is odd, holds connects for 30 s,
// and knows no bound on a session's queue.
const bayeux = cometd.createCometDServer({ timeout: 30_000 });
listen(http.createServer(bayeux.handle));
