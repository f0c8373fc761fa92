//! The plugin of OpenCode, which pipes its events to the hook.

use crate::error::Error;

/// The plugin, with a place for the program.
const PLUGIN: &str = r#"// Written by `fusebox hooks install opencode`; `fusebox hooks uninstall opencode` removes it.
// Each call of a tool is put to Fusebox before it happens. Where Fusebox gives no answer, the call does not happen.
import { spawn } from "node:child_process";

const PROGRAM = @PROGRAM@;
const DEADLINE_MS = 10_000;

function ask(event) {
  return new Promise((resolve, reject) => {
    const failed = (why) => reject(new Error("fusebox: no verdict (" + why + ")"));
    const child = spawn(PROGRAM, ["hook", "opencode"], { stdio: ["pipe", "pipe", "inherit"] });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      failed("it timed out");
    }, DEADLINE_MS);
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (part) => (text += part));
    child.on("error", (error) => {
      clearTimeout(timer);
      failed(error.message);
    });
    child.on("close", () => {
      clearTimeout(timer);
      try {
        resolve(JSON.parse(text));
      } catch {
        failed("its answer cannot be read");
      }
    });
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(event));
  });
}

export const Fusebox = async ({ directory, worktree }) => {
  const context = { directory, worktree };
  return {
    "tool.execute.before": async (input, output) => {
      const answer = await ask({ hook: "tool.execute.before", context, input, output: { args: output.args } });
      if (answer.action !== "continue") throw new Error(answer.message ?? "fusebox: no verdict (unknown answer)");
    },
    "tool.execute.after": async (input, output) => {
      const { title, output: text, metadata } = output;
      const answer = await ask({ hook: "tool.execute.after", context, input, output: { title, output: text, metadata } });
      if (typeof answer.output === "string") output.output = answer.output;
    },
    event: async ({ event }) => {
      if (!["session.created", "session.deleted", "session.idle"].includes(event.type)) return;
      await ask({ hook: "event", context, input: { event } }).catch(() => {});
    },
  };
};
"#;

/// The plugin that calls a program.
pub fn text(program: &str) -> Result<String, Error> {
    // A text of JSON is one of JavaScript.
    Ok(PLUGIN.replace("@PROGRAM@", &serde_json::Value::from(program).to_string()))
}
