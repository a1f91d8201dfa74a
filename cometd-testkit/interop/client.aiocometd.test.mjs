// aiocometd, a client for Python's asyncio.

import path from 'node:path';
import { behaviours } from './clients/behaviours.mjs';
import { here, installed, run } from './clients/install.mjs';
import { Program } from './clients/remote.mjs';

behaviours({
  name: 'aiocometd',
  transports: ['long-polling', 'websocket'],
  async start() {
    const requirements = here('python', 'requirements.txt');
    const environment = await installed('python', requirements, async (folder) => {
      await run('python3', '-m', 'venv', folder);
      await run(path.join(folder, 'bin', 'pip'), 'install', '--quiet', '--requirement', requirements);
    });
    return new Program(path.join(environment, 'bin', 'python'), here('python', 'client.py'));
  },
  cannot: {
    call: 'it has no calls',
    batch: 'it sends each message by itself',
    goodbye: 'it follows the advice of failed replies only, so it comes back as another session',
    timesync: 'it has no such extension',
  },
});
