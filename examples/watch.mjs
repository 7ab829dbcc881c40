// Watches topics of a running Munadi with the stock Centrifuge SDK: node watch.mjs [topic ...]
// MUNADI_URL (default ws://127.0.0.1:8000) says where; MUNADI_TOKEN, an access token, opens one's own and staff topics.
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const url = `${process.env.MUNADI_URL ?? "ws://127.0.0.1:8000"}/connection/websocket`;
const topics = process.argv.length > 2 ? process.argv.slice(2) : ["festival"];
const centrifuge = new Centrifuge(url, { websocket: WebSocket, token: process.env.MUNADI_TOKEN });

centrifuge.on("connected", ({ client }) => console.log(`connected to ${url} as ${client}`));
centrifuge.on("connecting", ({ code, reason }) => code && console.log(`connection lost (${reason}), coming back`));
centrifuge.on("disconnected", ({ code, reason }) => console.log(`disconnected: ${code} ${reason}`));
// what arrives without asking: the connection's own topic
centrifuge.on("publication", ({ channel, data }) => show(channel, data));

for (const topic of topics) {
  const subscription = centrifuge.newSubscription(topic);
  subscription.on("publication", ({ data }) => show(topic, data));
  subscription.on("subscribed", ({ wasRecovering, recovered }) => {
    const missed = wasRecovering ? (recovered ? ", nothing missed" : ", something was missed: reload") : "";
    console.log(`following ${topic}${missed}`);
  });
  subscription.on("unsubscribed", ({ code, reason }) => console.log(`${topic}: ${code} ${reason}`));
  subscription.subscribe();
}
centrifuge.connect();

function show(topic, message) {
  const { event, announcement } = message;
  const what = event
    ? `${text(event.title)}, ${event.starts_at}, ${text(event.venue.name)}`
    : announcement
      ? [announcement.lane, text(announcement.title), text(announcement.body)].filter(Boolean).join(": ")
      : JSON.stringify(message);
  console.log(`${topic}  ${message.type}  ${what}`);
}

function text(localized) {
  return localized?.en ?? localized?.ar ?? "";
}
