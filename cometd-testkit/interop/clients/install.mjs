// What a client needs is installed once, into `out/`, where it stays until its list of requirements changes.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const HERE = path.dirname(fileURLToPath(import.meta.url));

/** A file beside this one. */
export const here = (...names) => path.join(HERE, ...names);
/** A file among those that are installed. */
export const out = (...names) => path.join(HERE, '..', 'out', ...names);

/** A reason not to test a client: something that it needs is not to be had here. */
export class Missing extends Error {}

/** Runs a command; what it says is in the error if it fails. */
export async function run(command, ...args) {
  try {
    return (await promisify(execFile)(command, args, { maxBuffer: 2 ** 26 })).stdout;
  } catch (error) {
    if (error.code === 'ENOENT') throw new Missing(`there is no ${command} here`);
    const said = `${error.stderr} ${error.stdout}`.replace(/\s+/g, ' ').trim();
    throw new Missing(`${path.basename(command)} ${args.join(' ')} failed: ${said.slice(0, 1_000)}`);
  }
}

/** Fills the folder `out/name`, unless it was filled for the same requirements before. */
export async function installed(name, requirements, fill) {
  const folder = out(name);
  const stamp = path.join(folder, 'stamp');
  const hash = createHash('sha256').update(await readFile(requirements)).digest('hex');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === hash) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await fill(folder);
  await writeFile(stamp, hash);
  return folder;
}
