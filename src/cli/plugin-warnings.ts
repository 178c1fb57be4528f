import { printable } from '../errors.js'

/**
 * Plug-ins that oclif cannot load, and a list of them that it cannot read, are one line with what to do, not a warning
 * of Node with the places in its own code. All other warnings are printed as they would be.
 */
export function shortenPluginWarnings(): void {
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  const shown = new Set<string>()
  process.on('warning', (warning) => {
    const message = printable(warning.message.split('\n')[0] ?? '')
    const line = isOfPlugin(warning)
      ? `a plug-in cannot be loaded: ${message}. "vdisk plugins" lists the plug-ins, ` +
        '"vdisk plugins uninstall NAME" takes one away.'
      : isOfList(warning)
        ? `no plug-in is loaded, since their list cannot be read: ${message}. "vdisk plugins" names its file.`
        : undefined
    if (line === undefined) {
      for (const print of printers) print.call(process, warning)
      return
    }
    if (shown.has(line)) return
    shown.add(line)
    process.stderr.write(`Warning: ${line}\n`)
  })
}

const isOfPlugin = ({ name }: Error): boolean => / Plugin: /.test(name)

/** What oclif met with the file in which plug-ins are listed: it has no name in its text where it is no JSON. */
const isOfList = ({ stack = '', message }: Error): boolean =>
  /\bloadUserPlugins\b/.test(stack) || /^E[A-Z]+: .*\bpackage\.json'/.test(message)
