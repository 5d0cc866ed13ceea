// Bundles src/entries/* into one module each: a level's page, for all hosts, and what a live page and a notebook begin with.
// `node build.mjs [FOLDER]`; the same sources give the same bytes.
import { readFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const folder = process.argv[2] ?? "../src/whygrad/render/assets";

/** A style sheet is imported as its text, minified. */
const sheets = {
  name: "sheets",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "chrome123" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

const common = {
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  tsconfigRaw: {}, // its JSX setting is the type checker's
  legalComments: "none",
  logLevel: "warning",
};

await build({
  ...common,
  entryPoints: ["neuron", "network", "run"].map((level) => `src/entries/${level}.ts`),
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["src/h.ts"],
  alias: { "@preact/signals": "./src/signals.ts" },
  plugins: [sheets],
  define: { "process.env.NODE_ENV": '"production"' },
});
await build({ ...common, entryPoints: ["live", "notebook"].map((host) => `src/entries/${host}.ts`) });
