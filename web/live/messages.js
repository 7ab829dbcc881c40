// The list of what has arrived: newest first, so many at most.

const SHOWN_MAX = 500;
const list = document.getElementById("messages");
const empty = document.getElementById("no-messages");
const LANGUAGES = [
  { code: "en", dir: "ltr" },
  { code: "ar", dir: "rtl" },
];

/** An element with a class and content, which is never read as HTML. */
export function make(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** Shows a line of the page's own. */
export function note(text) {
  const item = make("li", "", make("div", "meta", time(), make("span", "", text)));
  item.dataset.kind = "note";
  put(item);
}

/** Shows a publication; `confirm` is called when a notification is confirmed. */
export function publication({ topic, offset, tags, info, isRecovered, data }, confirm) {
  const item = make("li", "");
  item.dataset.kind = isRecovered ? "recovered" : "live";
  const meta = make("div", "meta", time(), make("span", "topic", topic));
  if (data?.type) meta.append(make("span", "mono", data.type));
  if (offset) meta.append(make("span", "mono", `offset ${offset}`));
  if (info?.user || info?.client) meta.append(make("span", "", `by ${info.user || info.client}`));
  for (const [name, value] of Object.entries(tags ?? {})) meta.append(make("span", "mono", `${name}=${value}`));
  if (isRecovered) meta.append(make("span", "badge", "recovered"));
  const lane = data?.lane ?? data?.announcement?.lane;
  if (lane) item.dataset.lane = lane;
  const raw = make("details", "", make("summary", "", "JSON"), make("pre", "mono", JSON.stringify(data, null, 2)));
  item.append(meta, texts(data), raw);
  if (data?.delivery_id && data?.receipt_code) item.append(confirmation(data, confirm));
  put(item);
}

/** Empties the list. */
export function clear() {
  list.replaceChildren();
  empty.hidden = false;
}

function put(item) {
  list.prepend(item);
  empty.hidden = true;
  while (list.childElementCount > SHOWN_MAX) list.lastElementChild.remove();
}

function time() {
  const now = new Date();
  const text = now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
  const element = make("time", "mono", text);
  element.dateTime = now.toISOString();
  return element;
}

/** Title, body and place in every language that the message has. */
function texts(data) {
  const about = data?.event ?? data?.announcement ?? data ?? {};
  const grid = make("div", "texts");
  for (const { code, dir } of LANGUAGES) {
    const title = about.title?.[code];
    const rest = [about.body?.[code], about.venue?.name?.[code]].filter(Boolean).join(" · ");
    if (!title && !rest) continue;
    const text = make("p", "text");
    text.lang = code;
    text.dir = dir;
    if (title) text.append(make("b", "", title));
    text.append(rest);
    grid.append(text);
  }
  if (!grid.childElementCount && typeof data !== "object") {
    const text = make("p", "text", String(data));
    text.dir = "auto";
    grid.append(text);
  }
  return grid;
}

function confirmation(data, confirm) {
  const button = make("button", "small", "Confirm");
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await confirm(data, "delivered");
      button.textContent = "Confirmed";
      button.classList.add("done");
    } catch (error) {
      button.textContent = `Not confirmed: ${error.message}`;
      button.disabled = false;
    }
  });
  return make("div", "buttons", button);
}
