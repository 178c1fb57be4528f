/** Whether a name is meant as an NBD URI, well formed or not: an export of a server, no file. */
export function isNbdUri(name: string): boolean {
  return /^nbds?(\+unix)?:\/\//i.test(name)
}
