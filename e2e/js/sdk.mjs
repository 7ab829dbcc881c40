// centrifuge-js from npm, unmodified, as an app would set it up.
import { Centrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import EventSource from 'eventsource';
import WebSocket from 'ws';

/** Every way in which the SDK can talk: its transport and its codec. Server-sent events are text, so Protobuf has none. */
export const WAYS = [
  { transport: 'websocket', codec: 'json' },
  { transport: 'http_stream', codec: 'json' },
  { transport: 'sse', codec: 'json' },
  { transport: 'websocket', codec: 'protobuf' },
  { transport: 'http_stream', codec: 'protobuf' },
];

/** A client of `munadi` that is not connected yet. `options` are the SDK's; `port` may be a proxy's, with TLS if `secure`. */
export function sdk(munadi, { port = munadi.port, transport = 'websocket', codec = 'json', secure = false, ...options } = {}) {
  const Client = codec === 'protobuf' ? ProtobufCentrifuge : Centrifuge;
  const base = secure ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const endpoint = `${transport === 'websocket' ? base.replace('http', 'ws') : base}/connection/${transport}`;
  const client = new Client([{ transport, endpoint }], {
    websocket: WebSocket,
    eventsource: EventSource,
    fetch,
    readableStream: ReadableStream,
    emulationEndpoint: `${base}/emulation`,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
    ...options,
  });
  client.on('error', () => {}); // told again by the state changes that the tests wait for
  return client;
}

/** A value as `codec` carries it, and back. */
export const packed = (codec, value) => (codec === 'protobuf' ? new TextEncoder().encode(JSON.stringify(value)) : value);
export const unpacked = (codec, data) => (codec === 'protobuf' ? JSON.parse(new TextDecoder().decode(data)) : data);

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
