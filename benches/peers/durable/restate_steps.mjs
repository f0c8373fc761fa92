// Durable steps of Restate: one invocation of a service whose steps read a file, against a server of its own.
//
// restate_steps.mjs FILE STEPS FOLDER: prints one line of JSON.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

// The SDK expects a newer Node.js than some systems have.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
const restate = await import("@restatedev/restate-sdk");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function post(url, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${await answer.text()}`);
  return answer.json();
}

const [file, wanted, folder] = process.argv.slice(2);
const steps = Number(wanted);
const service = restate.service({
  name: "steps",
  handlers: {
    reads: async (context, count) => {
      let done = 0;
      for (let step = 0; step < count; step++) {
        const text = await context.run("read", () => readFileSync(file, "utf8"));
        if (text.length > 0) done++;
      }
      return done;
    },
  },
});
const [own, ingress, admin, node] = [await freePort(), await freePort(), await freePort(), await freePort()];
const log = openSync(join(folder, "restate.log"), "w");
const server = spawn("restate-server", ["--base-dir", join(folder, "restate")], {
  stdio: ["ignore", log, log],
  // A group of its own: the command is a script that starts the server.
  detached: true,
  env: {
    ...process.env,
    DO_NOT_TRACK: "1",
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
  },
});
let code = 0;
try {
  await restate.serve({ services: [service], port: own });
  const until = Date.now() + 60_000;
  const isReady = () => fetch(`http://127.0.0.1:${admin}/health`).then((answer) => answer.ok, () => false);
  while (!(await isReady())) {
    if (Date.now() > until) throw new Error(`the server does not start: see ${folder}/restate.log`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await post(`http://127.0.0.1:${admin}/deployments`, { uri: `http://127.0.0.1:${own}` });
  const reads = (count) => post(`http://127.0.0.1:${ingress}/steps/reads`, count);
  await reads(5);
  const started = performance.now();
  const done = await reads(steps);
  const seconds = (performance.now() - started) / 1000;
  if (done !== steps) throw new Error(`${done} steps of ${steps}`);
  const line = { name: "Restate, one server", durability: "as it comes: RocksDB", rate: steps / seconds };
  console.log(JSON.stringify(line));
} catch (error) {
  console.error(error);
  code = 1;
} finally {
  process.kill(-server.pid, "SIGKILL");
}
process.exit(code);
