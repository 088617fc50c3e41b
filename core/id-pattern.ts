/** What an id may be, for those who check one before anything else is loaded. */

/** Long enough for a readable title, short enough that a whole key stays far below 1,024 bytes. */
export const MAX_ID_CHARS = 100;
export const MAX_USER_CHARS = 64;

export const ID_PATTERN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

export function isUserId(text: string): boolean {
  return text.length <= MAX_USER_CHARS && ID_PATTERN.test(text);
}
