// Types only: the discriminator of a share selects the type of its recipient.

import type { components } from "./generated";

type Schemas = components["schemas"];

export function describeRecipient(share: Schemas["Share"]): string {
  if (share.entity_type === "user") {
    const recipient: Schemas["User"] | Schemas["EmptyStub"] = share.entity;
    return `${share.permission} for ${recipient.email}`;
  }
  const recipient: Schemas["Workspace"] | Schemas["EmptyStub"] = share.entity;
  return `${share.permission} for the members of ${recipient.name}`;
}
