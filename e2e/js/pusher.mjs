// Pusher's libraries from npm, unmodified: the client as an app would set it up, the server library as a back end would.
import Pusher from 'pusher-js';
import PusherServer from 'pusher';
import { event } from './until.mjs';

export const APP = { id: '1', key: 'festival-key', secret: 'a secret of the festival' };

/** The configuration of the application, and of the topics that it shares with others. */
export const settings = (more = '') => `
[hub.classes.default]
publish = "subscriber"
presence = true

[hub.pusher.apps.${APP.id}]
key = "${APP.key}"
secret = "${APP.secret}"
${more}`;

/** What a back end does. */
export function backEnd(munadi) {
  return new PusherServer({
    appId: APP.id, key: APP.key, secret: APP.secret, host: '127.0.0.1', port: String(munadi.port), useTLS: false,
  });
}

/** A client of `munadi` who is `user`; its back end lets everybody into everything. */
export function pusher(munadi, user = { id: '7', info: { name: 'Amal' } }) {
  const server = backEnd(munadi);
  return new Pusher(APP.key, {
    cluster: 'none',
    wsHost: '127.0.0.1',
    wsPort: munadi.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    enableStats: false,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        const presence = channelName.startsWith('presence-') ? { user_id: user.id, user_info: user.info } : undefined;
        callback(null, server.authorizeChannel(socketId, channelName, presence));
      },
    },
    userAuthentication: {
      customHandler: ({ socketId }, callback) => callback(null, server.authenticateUser(socketId, { id: user.id })),
    },
  });
}

/** The next event of that name, as a promise with a deadline: `bind` and `unbind` instead of `once`. */
export function bound(target, name, ms) {
  const emitter = {
    once: (_, heard) => {
      const once = (data) => {
        target.unbind(name, once);
        heard(data);
      };
      target.bind(name, once);
    },
  };
  return event(emitter, name, ms);
}

/** Subscribes and waits until the server has said yes; keeps what it hears in `heard`. */
export async function joined(client, name) {
  const channel = client.subscribe(name);
  channel.heard = [];
  channel.bind_global((event, data) => event.startsWith('pusher:') || channel.heard.push({ event, data }));
  channel.members_then = await bound(channel, 'pusher:subscription_succeeded');
  return channel;
}
