// centrifuge-js from npm, unmodified, as an app would set it up.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

/** A client of `munadi` that is not connected yet. `options` are the SDK's; `port` may be a proxy's. */
export function sdk(munadi, { port, ...options } = {}) {
  const client = new Centrifuge(munadi.socket(port), {
    websocket: WebSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
    ...options,
  });
  client.on('error', () => {}); // told again by the state changes that the tests wait for
  return client;
}

/**
 * Subscribes to `topic` and keeps what it hears in the result's `heard`. That an event was created may be heard or not,
 * because the relay publishes after the API has answered; `moves` leaves it out.
 */
export function follow(client, topic, options) {
  const subscription = client.newSubscription(topic, options);
  subscription.heard = [];
  subscription.on('publication', (context) => subscription.heard.push(context));
  Object.defineProperty(subscription, 'moves', {
    get: () => subscription.heard.filter(({ data }) => data.type === 'event.moved'),
  });
  subscription.on('error', () => {});
  subscription.subscribe();
  return subscription;
}
