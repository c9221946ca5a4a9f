import { request, session } from "./api.js";

const POLL_MS = 500;
const FINAL_STATUSES = ["completed", "error", "stopped"];
const main = document.getElementById("main");
const status = document.getElementById("status");
const alertBox = document.getElementById("alert");
let currentView = 0; // a response of an earlier view is not shown

function create(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

/** Send a request, and show its progress and its error. */
async function call(method, path, body) {
  status.textContent = "Loading…";
  alertBox.hidden = true;
  try {
    return await request(method, path, body, (seconds) => {
      status.textContent = `Too many requests. Trying again in ${seconds} s.`;
    });
  } catch (error) {
    const retry = create("button", { onclick: show }, "Retry");
    alertBox.replaceChildren(create("span", {}, error.message), " ", ...(method === "GET" ? [retry] : []));
    alertBox.hidden = false;
    throw error;
  } finally {
    status.textContent = "";
  }
}

function formatAge(timestamp) {
  const seconds = (Date.now() - Date.parse(timestamp)) / 1000;
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (seconds < 60) return "just now";
  if (seconds < 3600) return format.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return format.format(-Math.floor(seconds / 3600), "hour");
  return format.format(-Math.floor(seconds / 86400), "day");
}

/** A form with one text field. An invalid field shows its messages. */
function createForm(label, field, submit, type = "text") {
  const error = create("span", { className: "field-error" });
  const input = create("input", { type, ariaLabel: label, placeholder: label });
  const onsubmit = async (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      await submit(input.value);
      input.value = "";
    } catch ({ errors }) {
      error.textContent = (errors?.[field] ?? []).join(" ");
    }
  };
  return create("form", { onsubmit, noValidate: true }, input, create("button", {}, label), error);
}

/** A list of all pages that were loaded so far. */
async function createList(path, emptyText, createItem) {
  const list = create("ul");
  const more = create("button", { onclick: loadPage }, "Load more");
  const summary = create("p");
  let page = 0;
  async function loadPage() {
    const separator = path.includes("?") ? "&" : "?";
    const { data, meta } = await call("GET", `${path}${separator}page=${++page}`);
    list.append(...data.map(createItem));
    summary.textContent = meta.total === 0 ? emptyText : `${list.children.length} of ${meta.total}`;
    more.hidden = meta.current_page >= meta.last_page;
  }
  await loadPage();
  return [list, summary, more];
}

const views = {
  "sign-in": async () => {
    const email = create("input", { type: "email", ariaLabel: "E-mail" });
    const password = create("input", { type: "password", ariaLabel: "Password" });
    const onsubmit = async (event) => {
      event.preventDefault();
      const body = { email: email.value, password: password.value };
      session.token = (await call("POST", "/auth/sign-in", body)).data.token;
      location.hash = "#/agents";
    };
    const notice = location.hash.endsWith("?expired") ? "Your session has expired." : "";
    return [create("p", {}, notice), create("form", { onsubmit, noValidate: true }, email, password, create("button", {}, "Sign in"))];
  },

  agents: async (_, query) => {
    const createAgent = async (name) => {
      await call("POST", "/agents", { name });
      await show();
    };
    const search = query.get("search");
    const path = search ? `/agents?search=${encodeURIComponent(search)}` : "/agents";
    const onSearch = async (text) => void (location.hash = `#/agents?search=${encodeURIComponent(text)}`);
    return [
      createForm("Search", "search", onSearch, "search"),
      createForm("Create agent", "name", createAgent),
      ...(await createList(path, "There are no agents yet.", createAgentItem)),
    ];
  },

  threads: async (uuid) => {
    if (!uuid) {
      const createItem = ({ uuid, name, created_at }) =>
        create("li", {}, create("a", { href: `#/threads/${uuid}` }, name), " ", create("small", {}, formatAge(created_at)));
      return createList("/threads", "There are no threads yet.", createItem);
    }
    const thread = (await call("GET", `/threads/${uuid}`)).data;
    const list = await createList(`/messages?thread_uuid=${uuid}&sort_by=created_at&sort_direction=asc`, "No messages.", createMessage);
    const run = async (content) => {
      const { data } = await call("POST", `/threads/${uuid}/run`, { content });
      list[0].append(createMessage(data.message), createMessage(data.answer));
    };
    return [create("h1", {}, thread.name), ...list, createForm("Ask", "content", run)];
  },

  workflows: async () => createList("/workflows", "There are no workflows yet.", createWorkflowItem),
};

const createMessage = ({ role, content }) => create("li", { className: "message" }, create("small", {}, `${role}: `), content);

function createAgentItem(agent) {
  const share = async () => {
    const user = Number(prompt("User id"));
    await call("POST", `/agents/${agent.uuid}/share`, { entity_type: "user", entity_id: user, permission: "read" });
    status.textContent = `${agent.name} is shared.`;
  };
  const remove = async () => {
    await call("DELETE", `/agents/${agent.uuid}`);
    await show();
  };
  const buttons = [create("button", { onclick: share }, "Share"), " ", create("button", { onclick: remove }, "Delete")];
  return create("li", {}, create("b", {}, agent.name), " ", ...(agent.is_owner ? buttons : [create("small", {}, "shared")]));
}

function createWorkflowItem(workflow) {
  const result = create("output");
  const stop = create("button", { hidden: true }, "Stop");
  const run = async () => {
    const view = currentView;
    let execution = (await call("POST", "/workflow-executions", { workflow_uuid: workflow.uuid })).data;
    stop.hidden = false;
    stop.onclick = () => call("POST", `/workflow-executions/${execution.uuid}/stop`);
    for (;;) {
      result.textContent = execution.status;
      if (view !== currentView || FINAL_STATUSES.includes(execution.status)) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      execution = (await request("GET", `/workflow-executions/${execution.uuid}`)).data;
    }
  };
  return create("li", {}, create("b", {}, workflow.name), " ", create("button", { onclick: run }, "Run"), " ", stop, " ", result);
}

async function show() {
  const view = ++currentView;
  const [path, query] = location.hash.slice(2).split("?");
  const [name, key] = path.split("/");
  if (!session.token && name !== "sign-in") return void (location.hash = "#/sign-in");
  document.getElementById("sign-out").hidden = !session.token;
  main.replaceChildren();
  const elements = await (views[name] ?? views.agents)(key, new URLSearchParams(query));
  if (view === currentView) main.replaceChildren(...elements);
}

document.getElementById("sign-out").onclick = async () => {
  await call("POST", "/auth/logout");
  session.token = null;
  location.hash = "#/sign-in";
};
addEventListener("hashchange", () => {
  alertBox.hidden = true;
  show();
});
addEventListener("unhandledrejection", (event) => event.preventDefault()); // shown by `call`
show();
