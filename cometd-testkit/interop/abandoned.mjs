// A client that is there to be killed: connects to the given URL, names its session, and goes on.

import { Tab } from './tab.mjs';

const tab = new Tab({ url: process.argv[2], last() {} });
await tab.open();
console.log(tab.id);
