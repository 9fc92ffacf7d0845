import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

// Each file of web/src/entries is an entry: {% asset "map" %} loads entries/map.ts and its styles.
const entries = readdirSync(new URL("./src/entries", import.meta.url)).filter((name) => name.endsWith(".ts"));

export default defineConfig({
  base: "/static/",
  publicDir: false,
  logLevel: "warn",
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
