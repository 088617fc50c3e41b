/** What providers are spoken to with. Imported by name here: a bundle has no names of a package that is loaded late. */
export { Agent, FormData, fetch } from "undici";
