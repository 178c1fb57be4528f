/** Texts that open something (an address with a password, a signed query) and what is shown in their place. */
const secrets = new Map<string, string>()

/** From now on a text is shown as another. */
export function keepSecret(text: string, shown: string): void {
  if (text !== shown && text !== '') secrets.set(text, shown)
}

/** Addresses of web servers with a name and password, or a query, wherever they come from: a mistyped command has some. */
const opening = /(https?:\/\/)(?:[^\s/?#'"@]*@)?([^\s?#'"]*)(\?(?!…)[^\s'"]*)?/gi

/**
 * A text for people or programs, without what was given to {@link keepSecret}, the longest first, and without what may
 * open an address.
 */
export function withoutSecrets(text: string): string {
  const shown = text.includes('://')
    ? text.replace(opening, (_all, scheme: string, place: string, query?: string) =>
        query === undefined ? scheme + place : `${scheme}${place}?…`,
      )
    : text
  if (secrets.size === 0) return shown
  return [...secrets]
    .sort(([one], [other]) => other.length - one.length)
    .reduce((left, [secret, instead]) => left.replaceAll(secret, instead), shown)
}
