/**
 * A command that Ctrl-C does not reach: it is pressed for this program, which may have to take back what it began by
 * means of the other. A process group of its own would keep the other from asking for a password.
 */
export function shielded(words: readonly string[]): readonly string[] {
  return process.platform === 'win32' ? words : ['sh', '-c', 'trap "" INT; exec "$@"', 'sh', ...words]
}
