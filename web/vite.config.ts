import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

// Each file of web/src/entries is an entry: {% asset "map" %} loads entries/map.ts and its styles.
const entries = readdirSync(new URL("./src/entries", import.meta.url)).filter((name) => name.endsWith(".ts"));

// Beside each script and style sheet its compressed form, so that no server has to make it again and again.
const compressed: Plugin = {
  name: "compressed",
  writeBundle({ dir }, bundle) {
    for (const name of Object.keys(bundle).filter((one) => /\.(js|css)$/.test(one))) {
      const path = join(dir!, name);
      writeFileSync(`${path}.br`, brotliCompressSync(readFileSync(path), { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));
    }
  },
};

export default defineConfig({
  base: "/static/",
  publicDir: false,
  logLevel: "warn",
  plugins: [compressed],
  build: {
    outDir: "../src/malha/ui/assets/dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // data: fonts and scripts would need a wider content security policy
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: Object.fromEntries(entries.map((name) => [name.replace(".ts", ""), `src/entries/${name}`])),
    },
  },
});
