// Faye, with its engine that keeps everything in memory.

import http from 'node:http';
import faye from 'faye';
import { listen } from './listen.mjs';

// It lets everybody do everything and logs nothing unless told to. Its timeout is in seconds.
const bayeux = new faye.NodeAdapter({ mount: '/cometd', timeout: 30 });
const server = http.createServer();
bayeux.attach(server);
listen(server);
