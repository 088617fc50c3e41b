/** undici's pool by itself: the whole package takes 40 ms to load, of which an upload needs a third. */
declare module "undici/lib/dispatcher/pool.js" {
  export { Pool as default } from "undici";
}
