import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` works against a running server: GANTRY_SERVER says where it is.
const server = process.env.GANTRY_SERVER ?? "http://127.0.0.1:9090";

export default defineConfig({
  plugins: [react()],
  build: {
    target: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0, // the policy of the page allows no inline script or style
    modulePreload: { polyfill: false },
    sourcemap: false,
    manifest: false,
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/v1", "/healthz", "/readyz", "/join.sh"].map((path) => [path, { target: server, changeOrigin: true, headers: { origin: server } }]),
    ),
  },
});
