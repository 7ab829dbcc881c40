// The list of topics: what each one is doing, how far it is, and who is there.
import { make } from "/live/messages.js";

const NAMES_SHOWN_MAX = 5;

export class Topics {
  #list;
  #empty;
  #rows = new Map();

  constructor(list, empty) {
    this.#list = list;
    this.#empty = empty;
  }

  /** A topic to subscribe to as soon as there is a connection. */
  wish(name) {
    const row = this.#row(name);
    row.actions = { forget: () => {}, enter: () => {}, leave: () => this.remove(name) };
    row.isWished = true;
    this.phase(name, "waiting", "");
    this.#buttons(row);
  }

  /** The names to subscribe to on the next connection. */
  wanted() {
    return [...this.#rows].filter(([, row]) => row.isWished).map(([name]) => name);
  }

  /** Takes every row away: a new connection brings its own. */
  reset() {
    for (const name of [...this.#rows.keys()]) this.remove(name);
  }

  /** Shows a topic; without `actions` it is one that the server has chosen. */
  add(name, actions) {
    const row = this.#row(name);
    row.actions = actions;
    row.isWished = Boolean(actions);
    this.#buttons(row);
  }

  remove(name) {
    this.#rows.get(name)?.item.remove();
    this.#rows.delete(name);
    this.#empty.hidden = this.#rows.size > 0;
  }

  /** `phase`: waiting, subscribing, subscribed or unsubscribed. */
  phase(name, phase, why) {
    const row = this.#row(name);
    row.item.dataset.phase = phase;
    row.phase.textContent = [phase, why].filter(Boolean).join(": ");
    row.phase.title = why ?? "";
    this.#buttons(row);
  }

  subscribed(name, { streamPosition, wasRecovering, recovered, recoverable }) {
    const how = wasRecovering ? (recovered ? "nothing missed" : "not recovered") : "";
    this.phase(name, "subscribed", how);
    const row = this.#row(name);
    row.epoch = streamPosition?.epoch;
    if (streamPosition) this.moved(name, streamPosition.offset);
    else row.position.textContent = recoverable ? "" : "without history";
  }

  moved(name, offset) {
    const row = this.#rows.get(name);
    if (row && offset !== undefined) row.position.textContent = `offset ${offset}${row.epoch ? `, epoch ${row.epoch}` : ""}`;
  }

  trouble(name, text) {
    this.#row(name).phase.textContent = text;
  }

  /** `clients` is null where the answer is an error, which `users` says then. */
  people(name, clients, users, infos = []) {
    const row = this.#rows.get(name);
    if (!row) return;
    if (clients === null) {
      row.people.textContent = users === "not available" ? "" : `presence: ${users}`;
      return;
    }
    const names = [...new Set(infos.map(({ user }) => user || "anonymous"))].sort();
    const shown = names.slice(0, NAMES_SHOWN_MAX).join(", ") + (names.length > NAMES_SHOWN_MAX ? ", …" : "");
    row.people.textContent = `present: ${clients} ${clients === 1 ? "client" : "clients"}, ${users} ${users === 1 ? "user" : "users"} (${shown})`;
  }

  #row(name) {
    const known = this.#rows.get(name);
    if (known) return known;
    const row = {
      name,
      phase: make("span", "phase"),
      position: make("p", "position mono"),
      people: make("p", "people"),
      buttons: make("div", "buttons"),
    };
    row.item = make("li", "", make("div", "head", make("span", "name", name), row.phase), row.position, row.people, row.buttons);
    row.item.dataset.topic = name;
    this.#rows.set(name, row);
    this.#list.append(row.item);
    this.#empty.hidden = true;
    return row;
  }

  #buttons(row) {
    const { actions, name } = row;
    const phase = row.item.dataset.phase;
    const button = (text, action) => {
      const made = make("button", "small", text);
      made.type = "button";
      made.setAttribute("aria-label", `${text}: ${name}`);
      made.addEventListener("click", action);
      return made;
    };
    if (!actions) {
      row.buttons.replaceChildren(make("span", "help", "chosen by the server"));
      return;
    }
    const forget = () => {
      actions.leave();
      actions.forget();
      this.remove(name);
    };
    const buttons = [];
    if (phase === "subscribed" && actions.people) buttons.push(button("Who is here", actions.people));
    if (phase === "subscribed" || phase === "subscribing") buttons.push(button("Unsubscribe", actions.leave));
    if (phase === "unsubscribed") buttons.push(button("Subscribe", actions.enter));
    buttons.push(button("Remove", forget));
    row.buttons.replaceChildren(...buttons);
  }
}
