// The page at /live: connects with the stock SDK and shows what happens. Nothing here is known to the server.
import { load } from "/live/sdk.js";
import { clear, note, publication } from "/live/messages.js";
import { Topics } from "/live/topics.js";

const element = (id) => document.getElementById(id);
const line = new EventTarget(); // what the SDK takes for the network: the button cuts it, the browser may, too
const topics = new Topics(element("topics"), element("no-topics"));
let client = null;
let isCut = false;
let counts = { connections: 0, messages: 0, recovered: 0 };

for (const name of ["online", "offline"]) {
  window.addEventListener(name, () => isCut || line.dispatchEvent(new Event(name)));
}

/** Where the SDK connects: this server. */
function endpoint(transport) {
  const { host, protocol } = window.location;
  const secure = protocol === "https:" ? "s" : "";
  return transport === "websocket" ? `ws${secure}://${host}/connection/websocket` : `${protocol}//${host}/connection/${transport}`;
}

function show(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
  const isOpen = client !== null;
  element("connect").textContent = isOpen ? "Disconnect" : "Connect";
  element("cut").disabled = !isOpen;
  for (const id of ["transport", "dialect", "token"]) element(id).disabled = isOpen;
}

function count(name, by = 1) {
  counts[name] += by;
  element(`fact-${name}`).textContent = counts[name];
}

function trouble(text) {
  element("trouble").hidden = !text;
  element("trouble").textContent = text;
}

/** Bytes of the Protobuf dialect carry the same JSON as the other one. */
function read(data) {
  if (!(data instanceof Uint8Array)) return data;
  const text = new TextDecoder().decode(data);
  try {
    return JSON.parse(text);
  } catch {
    return { bytes: data.length, text };
  }
}

function arrived(topic, context, isRecovered) {
  count("messages");
  if (isRecovered) count("recovered");
  const { offset, tags, info } = context;
  publication({ topic, offset, tags, info, isRecovered, data: read(context.data) }, confirm);
  topics.moved(topic, offset);
}

/** Confirms a notification; gives what is to be shown. */
async function confirm({ delivery_id, receipt_code }, state) {
  const value = { delivery_id, code: receipt_code, state };
  const isProtobuf = element("dialect").value === "protobuf";
  await client.rpc("ack", isProtobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
}

function subscribe(name) {
  const known = client.getSubscription(name);
  if (known) {
    known.subscribe();
    return;
  }
  const subscription = client.newSubscription(name, { joinLeave: true });
  let isRecovering = false;
  subscription.on("publication", (context) => arrived(name, context, isRecovering));
  subscription.on("subscribing", ({ reason }) => topics.phase(name, "subscribing", reason));
  subscription.on("subscribed", (context) => {
    isRecovering = context.hasRecoveredPublications;
    setTimeout(() => (isRecovering = false)); // the SDK hands them out before it takes up anything else
    topics.subscribed(name, context);
    if (context.wasRecovering && !context.recovered) note(`${name}: something was missed and cannot be told any more; reload what you show`);
    people(subscription);
  });
  subscription.on("unsubscribed", ({ code, reason }) => topics.phase(name, "unsubscribed", `${code} ${reason}`));
  for (const change of ["join", "leave"]) subscription.on(change, () => people(subscription));
  subscription.on("error", ({ error }) => topics.trouble(name, `${error.code} ${error.message}`));
  topics.add(name, {
    leave: () => subscription.unsubscribe(),
    enter: () => subscription.subscribe(),
    forget: () => client.removeSubscription(subscription),
    people: () => people(subscription),
  });
  subscription.subscribe();
}

async function people(subscription) {
  try {
    const { numClients, numUsers } = await subscription.presenceStats();
    const { clients } = await subscription.presence();
    topics.people(subscription.channel, numClients, numUsers, Object.values(clients));
  } catch (error) {
    topics.people(subscription.channel, null, error.message);
  }
}

/** The topics that the server put this connection on. */
function listen(to) {
  to.on("connecting", ({ code, reason }) => show("connecting", isCut ? "Line cut" : code ? `Coming back (${reason})` : "Connecting"));
  to.on("connected", ({ client: id, transport }) => {
    count("connections");
    element("fact-client").textContent = id;
    element("fact-client").title = id;
    element("fact-transport").textContent = `${transport}, ${element("dialect").value}`;
    show("connected", "Connected");
  });
  to.on("disconnected", ({ code, reason }) => {
    if (to !== client) return;
    client = null;
    isCut = false;
    cutButton();
    show("disconnected", code ? `Disconnected: ${code} ${reason}` : "Disconnected");
  });
  to.on("error", ({ error }) => note(`${error.code} ${error.message}`));
  const recovering = new Set();
  to.on("subscribed", (context) => {
    topics.add(context.channel);
    topics.subscribed(context.channel, context);
    if (context.hasRecoveredPublications) recovering.add(context.channel);
    setTimeout(() => recovering.delete(context.channel));
  });
  to.on("subscribing", ({ channel }) => topics.phase(channel, "subscribing", "connection lost"));
  to.on("unsubscribed", ({ channel }) => topics.remove(channel));
  to.on("publication", (context) => arrived(context.channel, context, recovering.has(context.channel)));
  to.on("message", ({ data }) => publication({ topic: "(this connection)", data: read(data) }, confirm));
}

async function connect() {
  const [transport, dialect] = [element("transport").value, element("dialect").value];
  show("connecting", "Loading the SDK");
  let Centrifuge;
  try {
    Centrifuge = await load(dialect);
  } catch (error) {
    show("disconnected", "No SDK");
    trouble(error.message);
    return;
  }
  trouble("");
  client = new Centrifuge([{ transport, endpoint: endpoint(transport) }], {
    token: element("token").value.trim(),
    emulationEndpoint: `${window.location.origin}/emulation`,
    networkEventTarget: line,
    name: "live",
  });
  listen(client);
  const wanted = topics.wanted();
  topics.reset();
  for (const name of wanted) subscribe(name);
  client.connect();
}

function cutButton() {
  const button = element("cut");
  button.setAttribute("aria-pressed", String(isCut));
  button.textContent = isCut ? "Mend the line" : "Cut the line";
}

element("connection").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  if (client) client.disconnect();
  else connect();
});
element("cut").addEventListener("click", () => {
  isCut = !isCut;
  cutButton();
  note(isCut ? "You have cut the line." : "You have mended the line.");
  line.dispatchEvent(new Event(isCut ? "offline" : "online"));
});
element("subscribe").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const name = element("topic").value.trim();
  if (!name) return;
  element("topic").value = "";
  if (client) subscribe(name);
  else topics.wish(name);
});
element("transport").addEventListener("change", () => {
  // server-sent events are text: there is no Protobuf on them
  const isText = element("transport").value === "sse";
  element("dialect").querySelector('[value="protobuf"]').disabled = isText;
  if (isText) element("dialect").value = "json";
});
element("clear").addEventListener("click", clear);
element("theme").addEventListener("change", ({ target }) => {
  document.documentElement.dataset.theme = target.value;
  localStorage.setItem("munadi.theme", target.value);
});

// the address may say what to show: /live?topics=festival,event:17&transport=sse&dialect=json
const asked = new URLSearchParams(window.location.search);
for (const id of ["transport", "dialect"]) if (asked.has(id)) element(id).value = asked.get(id);
element("transport").dispatchEvent(new Event("change"));
for (const name of (asked.get("topics") ?? "festival").split(",").filter(Boolean)) topics.wish(name);
element("theme").value = localStorage.getItem("munadi.theme") ?? "";
document.documentElement.dataset.theme = element("theme").value;
