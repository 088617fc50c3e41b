/** How an item is named where a ticket's lane and run don't matter: `user/job/item`. */
import type { TicketAddress } from "../core/keys.ts";

export function nameOfItem({ user, job, item }: TicketAddress): string {
  return `${user}/${job}/${item}`;
}
