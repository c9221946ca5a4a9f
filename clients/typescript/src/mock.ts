/** Starts the installed mock server. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface StartOptions {
  /** The command of the mock and its first arguments. Default: `athena-mock`, from PATH. */
  command?: string[];
  /** Options of the mock. Default: a free port. */
  args?: string[];
  /** Time until the mock must be ready. The first start with a dataset builds it. */
  timeoutMs?: number;
}

export interface RunningMock {
  /** URL without a path, for example `http://127.0.0.1:34567`. */
  url: string;
  stop(): Promise<void>;
}

/** Start a mock on a free port and wait until it is ready. It ends with this process at the latest. */
export async function startMock(options: StartOptions = {}): Promise<RunningMock> {
  const { command = ["athena-mock"], args = [], timeoutMs = 60_000 } = options;
  const [program = "", ...firstArgs] = command;
  const child = spawn(program, [...firstArgs, "--port", "0", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    process.off("exit", kill);
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  try {
    return { url: await readUrl(child, command.join(" "), timeoutMs), stop };
  } catch (error) {
    process.off("exit", kill);
    kill();
    throw error;
  }
}

/** Read the URL from the text that the mock prints as soon as it is ready. */
function readUrl(child: ChildProcess, command: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    let errors = "";
    const timer = setTimeout(() => reject(new Error(`${command}: not ready after ${timeoutMs} ms\n${errors}`)), timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`${command}: cannot be started (${error.message}). Is the mock installed and in PATH?`));
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${command}: ended with exit code ${code}\n${errors}`));
    });
    child.stderr?.on("data", (data) => (errors = (errors + data).slice(-5000)));
    child.stdout?.on("data", (data) => {
      output = (output + data).slice(-20_000);
      const url = /(\S+)\/__mock\/health/.exec(output)?.[1];
      if (url !== undefined) {
        clearTimeout(timer);
        resolve(url);
      }
    });
  });
}
