/** The time zone of this host, by its IANA name. */

export const hostTimeZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone;
