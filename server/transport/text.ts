/** At most `length` characters and "...": names and messages of others are quoted, but not at any length. */
export function clip(text: string, length: number): string {
  const clipped = text.length > length ? `${text.slice(0, length)}...` : text;
  // The cut may go through a surrogate pair, which cannot be sent. (ES2024, in Node since 20.)
  return (clipped as string & { toWellFormed(): string }).toWellFormed();
}

/** A value of somebody else's in words: an object may have no way to become a string. */
export function inWords(value: unknown, length: number): string {
  return typeof value === "object" && value !== null ? "an object" : clip(String(value), length);
}

/** For people: brackets around an IPv6 address. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
