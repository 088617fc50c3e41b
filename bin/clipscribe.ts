/** The process: everything else takes what it needs as arguments. */
import { systemIo } from "./io.ts";
import { main } from "./main.ts";

process.exitCode = await main(process.argv.slice(2), systemIo());
