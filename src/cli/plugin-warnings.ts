import { printable } from '../errors.js'

/**
 * Plug-ins that oclif cannot load are one line with what to do, not a warning of Node with the places in its own code.
 * All other warnings are printed as they would be.
 */
export function shortenPluginWarnings(): void {
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  const shown = new Set<string>()
  process.on('warning', (warning) => {
    if (!/ Plugin: /.test(warning.name)) {
      for (const print of printers) print.call(process, warning)
      return
    }
    const line = printable(warning.message.split('\n')[0] ?? '')
    if (shown.has(line)) return
    shown.add(line)
    process.stderr.write(
      `Warning: a plug-in cannot be loaded: ${line}. "vdisk plugins" lists the plug-ins, ` +
        '"vdisk plugins uninstall NAME" takes one away.\n',
    )
  })
}
