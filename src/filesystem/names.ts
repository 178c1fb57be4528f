/**
 * A name as a directory entry gives it: never empty, `.` or `..`, without `/` and NUL. Only crafted or damaged folders
 * hold such names;
 * they are shown with those characters as in an address: `%2F`.
 */
export function entryName(stored: string): string {
  const name = stored.replace(/[/\0]/g, (character) => (character === '/' ? '%2F' : '%00'))
  if (name === '') return '%'
  return name === '.' || name === '..' ? name.replaceAll('.', '%2E') : name
}

const upperHalf =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
  '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'

/** Bytes of the original code page of the IBM PC (437), which is what FAT names are in where nothing else is known. */
export function codePage437(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : upperHalf.charAt(byte - 0x80)
  return text
}

/**
 * The text of a name that is UTF-8 by custom only: each byte of one that is not becomes a lone surrogate, U+DC80 and
 * up, so that no two names become the same.
 */
export function posixName(stored: Uint8Array): string {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.length)
  const text = bytes.toString('utf8')
  if (Buffer.from(text).equals(bytes)) return text
  return Array.from(stored, (byte) => String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte)).join('')
}
