/**
 * Names that differ in case only become the same: one UTF-16 unit at a time, as the upcase tables of exFAT, NTFS
 * and the registry do.
 */
export function foldedCase(name: string): string {
  let folded = ''
  for (let index = 0; index < name.length; index++) {
    const upper = name.charAt(index).toUpperCase()
    folded += upper.length === 1 ? upper : name.charAt(index)
  }
  return folded
}
