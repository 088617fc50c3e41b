import { describeObjectStore } from "../../ports/object-store.contract.ts";
import { openMemoryStore } from "./memory-store.ts";

describeObjectStore("memory", async () => openMemoryStore());
