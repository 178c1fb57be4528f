/** Texts that open something (an address with a password, a signed query) and what is shown in their place. */
const secrets = new Map<string, string>()

/** From now on a text is shown as another. */
export function keepSecret(text: string, shown: string): void {
  if (text !== shown && text !== '') secrets.set(text, shown)
}

/** What opens an address of a web server: a name and password, or a query; wherever it comes from. */
const opening = /(https?:\/\/)(?:[^\s/?#'"@]*@)?([^\s?#'"]*)(\?(?!…)[^\s'"]*)?/gi

/**
 * A text for people or programs, without what was given to {@link keepSecret}, the longest first, and without what may
 * open any other address: a mistyped command has some.
 */
export function withoutSecrets(text: string): string {
  const known = [...secrets]
    .sort(([one], [other]) => other.length - one.length)
    .reduce((shown, [secret, instead]) => shown.replaceAll(secret, instead), text)
  if (!known.includes('://')) return known
  return known.replace(opening, (_all, scheme: string, place: string, query?: string) =>
    query === undefined ? scheme + place : `${scheme}${place}?…`,
  )
}
