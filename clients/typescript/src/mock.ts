/** Starts the installed mock server. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface StartOptions {
  /** A program, or a list of the program and its first arguments. Default: `athena-mock`, from PATH. */
  command?: string | string[];
  /** Options of the mock. Default: a free port. */
  args?: string[];
  /** Maximum time until the mock is ready. The first start with a dataset builds it. Default: a minute. */
  timeoutMs?: number;
}

export interface RunningMock {
  /** URL without a path, for example `http://127.0.0.1:34567`. */
  url: string;
  stop(): Promise<void>;
}

/** Start a mock on a free port and wait until it is ready. It is killed when this process exits. */
export async function startMock(options: StartOptions = {}): Promise<RunningMock> {
  const { args = [], timeoutMs = 60_000 } = options;
  const command = [options.command ?? "athena-mock"].flat();
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

/** Read the URL that the mock prints as soon as it is ready. `command` is for messages. */
function readUrl(child: ChildProcess, command: string, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const url = new Promise<string>((resolve, reject) => {
    let output = "";
    let errors = "";
    timer = setTimeout(() => reject(new Error(`${command}: not ready after ${timeoutMs} ms\n${errors}`)), timeoutMs);
    child.once("error", (error) =>
      reject(new Error(`${command}: cannot be started (${error.message}). Is the mock installed and in PATH?`)),
    );
    child.once("exit", (code) => reject(new Error(`${command}: ended with exit code ${code}\n${errors}`)));
    child.stderr?.on("data", (data) => (errors = (errors + data).slice(-5000)));
    child.stdout?.on("data", (data) => {
      output = (output + data).slice(-20_000);
      const match = /(\S+)\/__mock\/health/.exec(output)?.[1];
      if (match !== undefined) resolve(match);
    });
  });
  return url.finally(() => clearTimeout(timer));
}
