// CometD's Java client, with Jetty's HTTP client and an implementation of jakarta.websocket.

import path from 'node:path';
import { behaviours } from './clients/behaviours.mjs';
import { here, installed, run } from './clients/install.mjs';
import { Program } from './clients/remote.mjs';

behaviours({
  name: 'CometD Java client',
  transports: ['long-polling', 'websocket'],
  async start() {
    await run('java', '-version');
    const pom = here('java', 'pom.xml');
    const jars = await installed('java', pom, (folder) =>
      run('mvn', '--batch-mode', '--quiet', '--file', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`, '-DincludeScope=runtime'),
    );
    return new Program('java', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', path.join(jars, '*'), here('java', 'Client.java'));
  },
  ext: { ack: true, timesync: true },
  cannot: {},
});
