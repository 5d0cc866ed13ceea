// What JSX becomes: h(type, props, ...children), shorter in the bundle than the automatic runtime's calls. build.mjs injects it.
export { Fragment, h } from "preact";
