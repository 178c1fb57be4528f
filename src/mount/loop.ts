import { targetError, unsupported } from '../errors.js'
import { command } from '../sys/commands.js'
import { lastPart } from '../sys/host-path.js'
import { textOfFile } from '../sys/readable.js'

/** A loop device over a file, as it was when it was attached. */
export interface Loop {
  readonly device: string
  /**
   * What the kernel calls the file behind it, to recognise it again: the number may be given to somebody else later.
   */
  readonly backing: string
}

/**
 * Attaches a file to a loop device that reads and writes it past the page cache: it is cached once, above.
 * @throws ImageError unsupported E_NO_LOOP; target E_LOOP.
 */
export async function attachLoop(file: string, sectorSize: 512 | 4096, readOnly: boolean): Promise<Loop> {
  const parameters = [
    '--find',
    '--show',
    ...(sectorSize === 4096 ? ['--sector-size', '4096'] : []),
    ...(readOnly ? ['--read-only'] : []),
  ]
  let result = await command('losetup', [...parameters, '--direct-io=on', '--', file])
  // Kernels refuse direct I/O for sectors smaller than those of the medium below.
  if (result.code !== 0 && result.code !== undefined) result = await command('losetup', [...parameters, '--', file])
  if (result.code === undefined)
    throw unsupported('E_NO_LOOP', 'losetup is not installed (package mount or util-linux)')
  const device = result.stdout.split('\n').at(-1) ?? ''
  if (result.code !== 0 || !device.startsWith('/dev/')) {
    throw targetError(
      'E_LOOP',
      `no loop device can be attached to ${file}: ` +
        (result.stderr === '' ? `losetup ended with ${result.code}` : result.stderr),
    )
  }
  return { device, backing: backingFile(device) ?? '' }
}

/** The path of what a loop device shows, as the kernel reports it now; undefined: nothing is attached. */
export function backingFile(device: string): string | undefined {
  // The attribute is there only while something is attached.
  return textOfFile(backingAttribute(device))?.trimEnd()
}

/** Where the kernel reports it. */
export function backingAttribute(device: string): string {
  return `/sys/block/${lastPart(device)}/loop/backing_file`
}

/** Detaches it; one that is in use goes with its last user. */
export async function detachLoop({ device }: Loop): Promise<void> {
  await command('losetup', ['--detach', device])
}
