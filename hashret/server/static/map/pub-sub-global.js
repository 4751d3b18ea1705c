import createPubSub from "./pub-sub-es.js";

globalThis.createPubSub = createPubSub; // regl-scatterplot expects it there
