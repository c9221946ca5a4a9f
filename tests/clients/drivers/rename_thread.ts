
// Appended to the example of docs/guides/clients.md: renames a thread, and prints the error of each invalid call.

declare const process: { stdout: { write(text: string): void } };

const { data: created } = await client.POST("/threads", { body: { name: "New" } });
const uuid = created!.data.uuid;
const unknown = "00000000-0000-4000-8000-000000000000";

process.stdout.write(`renamed: ${(await renameThread(uuid, "Renamed")).name}\n`);
for (const [key, name] of [[uuid, ""], [unknown, "Renamed"]]) {
  await renameThread(key, name).catch((error) => process.stdout.write(`${error.message}\n`));
}
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", "Bearer unknown");
    return request;
  },
});
await renameThread(uuid, "Renamed").catch((error) => process.stdout.write(`${error.message}\n`));
