/** Whether bytes begin with a text of one byte a character. */
export function beginsWith(bytes: Uint8Array, text: string): boolean {
  if (bytes.length < text.length) return false
  for (let index = 0; index < text.length; index++) if (bytes[index] !== text.charCodeAt(index)) return false
  return true
}

/** Whether bytes end with a text of one byte a character. */
export function endsWith(bytes: Uint8Array, text: string): boolean {
  return bytes.length >= text.length && beginsWith(bytes.subarray(bytes.length - text.length), text)
}
