/**
 * Links of the pages that `vdisk view` serves. Names in an image are texts that may hold halves of characters (a lone
 * surrogate stands for a byte that is not UTF-8, or is a half that NTFS stores): no URL can hold those as they are.
 */

const half = /(?:[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff])/g

/** A name or path for a query: percent-encoded, halves of characters as `%uDC80`. {@link fromQuery} undoes it. */
export function toQuery(text: string): string {
  let encoded = ''
  let at = 0
  for (const { index, 0: surrogate } of text.matchAll(half)) {
    encoded += `${encodeURIComponent(text.slice(at, index))}%u${surrogate.charCodeAt(0).toString(16).toUpperCase()}`
    at = index + 1
  }
  return (encoded + encodeURIComponent(text.slice(at))).replaceAll('%2F', '/')
}

/** What {@link toQuery} encoded; undefined where the text is nothing that it makes. */
export function fromQuery(encoded: string): string | undefined {
  try {
    return encoded
      .split(/(%u[0-9A-F]{4})/)
      .map((piece, index) =>
        index % 2 === 1 ? String.fromCharCode(Number.parseInt(piece.slice(2), 16)) : decodeURIComponent(piece),
      )
      .join('')
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** A link with a query, without the values that are not there. */
export function link(page: string, values: Readonly<Record<string, string | undefined>> = {}): string {
  const query = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${toQuery(value)}`],
  )
  return query.length === 0 ? page : `${page}?${query.join('&')}`
}

/** The values of a query or a form, as browsers and {@link link} write them. */
export function queryValues(query: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const pair of query.split('&')) {
    const [name = '', ...rest] = pair.split('=')
    // Forms write spaces as plus signs.
    const value = fromQuery(rest.join('=').replaceAll('+', ' '))
    if (name !== '' && value !== undefined) values.set(name, value)
  }
  return values
}
