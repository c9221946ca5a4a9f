// Starts one mock and the frontend for all workers, which read the URLs from the environment.

import { startMock } from "@athena/contract";
import { startFrontend } from "./app/server.mjs";

export default async function setUp() {
  const mock = await startMock();
  const frontend = await startFrontend(`${mock.url}/api/v1`);
  process.env.MOCK_URL = mock.url;
  process.env.FRONTEND_URL = frontend.url;
  return async () => {
    frontend.stop();
    await mock.stop();
  };
}
