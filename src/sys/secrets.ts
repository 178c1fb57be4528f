/** Texts that open something (an address with a password, a signed query) and what is shown in their place. */
const secrets = new Map<string, string>()

/** From now on a text is shown as another. */
export function keepSecret(text: string, shown: string): void {
  if (text !== shown && text !== '') secrets.set(text, shown)
}

/** A text for people or programs, without what was given to {@link keepSecret}; the longest are looked for first. */
export function withoutSecrets(text: string): string {
  if (secrets.size === 0) return text
  return [...secrets]
    .sort(([one], [other]) => other.length - one.length)
    .reduce((shown, [secret, instead]) => shown.replaceAll(secret, instead), text)
}
