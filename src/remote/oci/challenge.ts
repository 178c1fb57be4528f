/** What a registry demands before it answers (RFC 9110, section 11; RFC 6750, section 3). */
export type Challenge =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: string; readonly service?: string; readonly scope?: string }

const longestHeader = 8192
const parameter = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)\s*/y

/** The challenge that can be met, Bearer before Basic; undefined where there is none. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > longestHeader) return undefined
  // Several stand in one header, one behind the other.
  const schemes = [...header.matchAll(/(?:^|,\s*)(Bearer|Basic|Negotiate|Digest)(?=\s|,|$)/gi)]
  const bearer = schemes.find(([, name]) => name?.toLowerCase() === 'bearer')
  if (bearer !== undefined) {
    const { realm, service, scope } = parametersAt(header, bearer.index + bearer[0].length)
    if (realm !== undefined) return { kind: 'bearer', realm, service, scope }
  }
  return schemes.some(([, name]) => name?.toLowerCase() === 'basic') ? { kind: 'basic' } : undefined
}

function parametersAt(header: string, start: number): Readonly<Partial<Record<string, string>>> {
  const found: Record<string, string> = {}
  parameter.lastIndex = start + (/^\s*/.exec(header.slice(start))?.[0].length ?? 0)
  for (let match = parameter.exec(header); match !== null; match = parameter.exec(header)) {
    const [, name = '', quoted, plain = ''] = match
    found[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, '$1') ?? plain
  }
  return found
}
