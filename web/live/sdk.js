// Finds the stock SDK: on this server where it has it, else where its configuration says.

const BUILDS = { json: "centrifuge.js", protobuf: "centrifuge.protobuf.js" };
const loaded = new Map();

/** The SDK's client class for that dialect. Fails with a sentence for the reader. */
export function load(dialect) {
  if (!loaded.has(dialect)) {
    const found = find(BUILDS[dialect]);
    loaded.set(dialect, found);
    found.catch(() => loaded.delete(dialect));
  }
  return loaded.get(dialect);
}

async function find(build) {
  const settings = await (await fetch("/live/settings.json")).json();
  const places = [];
  if (settings.builds.includes(build)) places.push({ src: `/live/sdk/${build}` });
  if (settings.sdk_url) places.push({ src: `${settings.sdk_url}/${build}`, integrity: settings.integrity[build] });
  for (const place of places) {
    try {
      return await run(place);
    } catch {
      // the next place may have it
    }
  }
  throw new Error(
    `The Centrifuge SDK could not be loaded: this server has none, and ${settings.sdk_url || "no other address"} did not answer. ` +
      "Without internet, fetch it once elsewhere (npm pack centrifuge), and name the directory of its dist files in [live] sdk_dir.",
  );
}

/** Both builds call themselves `Centrifuge`: each is taken away before the next comes. */
function run({ src, integrity }) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    if (integrity) Object.assign(script, { integrity, crossOrigin: "anonymous" });
    script.onload = () => {
      const { Centrifuge } = window;
      delete window.Centrifuge;
      if (Centrifuge) resolve(Centrifuge);
      else reject(new Error("not the SDK"));
    };
    script.onerror = () => reject(new Error("not there"));
    document.head.append(script);
  });
}
