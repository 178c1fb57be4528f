/** Whether the content of a file is stored compressed, in an attribute or the resource fork (UF_COMPRESSED). */
export function isCompressed(ownerFlags: number): boolean {
  return (ownerFlags & 0x20) !== 0
}
