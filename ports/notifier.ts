/**
 * A way to tell somebody that a job is finished: one message to one address.
 *
 * Every implementation passes `describeNotifier` (notifier.contract.ts). A message may be sent more
 * than once: its id is the same each time and reaches the receiver, who can tell. Implementations
 * never retry, and bound their time; they put nothing of a message into a header but its subject
 * and its id, freed of what could end the header.
 *
 * Errors: `transient`, `denied` and `config` may pass, the last two once a person acts; `contract`
 * never does: this receiver will not take this message; `missing`: the receiver says that it is gone
 * for good, and wants nothing any more. `cancelled` where the signal aborted.
 */
import type { Channel } from "../core/message-records.ts";
import type { RequestOptions } from "./object-store.ts";

export interface Message {
  /** The same over all tries: 64 hexadecimal digits. */
  id: string;
  /** Names the file, where it becomes one: letters, digits and hyphens. */
  name: string;
  subject: string;
  text: string;
  html: string;
  /** JSON, for programs. */
  body: string;
  createdAt: Date;
}

export interface Notifier {
  readonly channel: Channel;
  /** `to` is an address of the channel; null where it has one place only. */
  send(message: Message, to: string | null, options?: RequestOptions): Promise<void>;
}

/** Whom this machine can tell, by channel; what is not set up is not there. */
export type Notifiers = Partial<Record<Channel, Notifier>>;
